"""Tools beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from harness.fake_tool import DiscTool, disc

from ibisagent.actions import Click
from ibisagent.errors import InvalidRequest
from ibisagent.tools.base import RGB, Segmentation
from ibistrain.clicks.curve import MOST_CLICKS
from ibistrain.clicks.tool_comparison import compare_tools, markdown
from ibistrain.labelled_picture import LabelledPicture


class Nothing:
    """A tool that finds nothing, whatever is clicked at."""

    name = "nothing"

    def set_image(self, rgb: RGB) -> Nothing:
        self.shape = rgb.shape[:2]
        return self

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        return Segmentation.empty(*self.shape)


def case(subject: str, row: int, wide: bool = False) -> tuple[LabelledPicture, str]:
    """A disc that one click of `DiscTool` finds, or a bar of which it finds a part."""
    labels = disc((60, 60), row, 30, DiscTool.radius).astype(np.uint8)
    if wide:
        labels[row - 2 : row + 3] = 1
    rgb = np.zeros((60, 60, 3), np.uint8)
    return LabelledPicture("discs", subject, f"p{row}", rgb, labels, {"disc": (1,)}, False), "disc"


def test_the_others_are_compared_to_the_first() -> None:
    cases = [case("a", 20), case("a", 30), case("b", 40)]
    found = compare_tools({"none": Nothing(), "disc": DiscTool()}, cases, "discs")
    none, one = found.tools
    assert (found.n, found.subjects) == (3, 2)
    assert none.gain is None
    assert none.dices == [0.0] * MOST_CLICKS
    assert none.clicks_to_good == MOST_CLICKS
    assert one.dices == [1.0] * MOST_CLICKS
    assert one.clicks_to_good == 1
    assert one.gain is not None
    assert (one.gain.mean, one.gain.low, one.gain.high) == (1.0, 1.0, 1.0)


def test_a_gain_with_one_of_two_subjects_is_not_sure() -> None:
    cases = [case("a", 20), case("b", 40, wide=True)]
    found = compare_tools({"none": Nothing(), "disc": DiscTool()}, cases, "discs")
    gain = found.tools[1].gain
    assert gain is not None
    assert gain.low < gain.mean < gain.high == 1.0


def test_the_table_has_a_line_a_tool() -> None:
    tools = {"disc": DiscTool(), "none": Nothing()}
    table = markdown([compare_tools(tools, [case("a", 20)], "held-back subjects")])
    head, rule, first, second = table.splitlines()
    assert head.count("|") == rule.count("|") == first.count("|") == second.count("|")
    assert first.startswith("| held-back subjects: disc | 1 | 1.000 |")
    assert second.endswith("| 8.00 | -1.000 [-1.000, -1.000] |")


def test_without_targets_there_is_nothing_to_compare() -> None:
    with pytest.raises(InvalidRequest, match="0 targets of held-back subjects"):
        compare_tools({"disc": DiscTool()}, [], "held-back subjects")
