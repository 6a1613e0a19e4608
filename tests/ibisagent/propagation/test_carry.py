from __future__ import annotations

from dataclasses import replace

import numpy as np
from harness.fake_tool import DiscTool, disc

from ibisagent.actions import Click
from ibisagent.metrics import dice, iou
from ibisagent.propagation.carry import carry
from ibisagent.propagation.settings import PropagationSettings
from ibisagent.tools.base import Segmentation

SHAPE = (40, 50)
RGB = np.zeros((*SHAPE, 3), np.uint8)
SETTINGS = PropagationSettings()


class DeafTool:
    """Answers from a list, whatever it is asked."""

    name = "deaf-tool"

    def __init__(self, *answers: np.ndarray) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[list[Click], Segmentation]] = []

    def set_image(self, rgb: np.ndarray) -> DeafTool:
        return self

    def segment(self, clicks, prior=None) -> Segmentation:
        self.asked.append((list(clicks), prior))
        return Segmentation(self.answers.pop(0), 0.5 + 0.1 * len(self.asked))


def never() -> bool:
    return False


def test_the_first_click_is_at_the_deepest_point_and_the_tool_looks_for_itself() -> None:
    tool, expected = DiscTool(8.0), disc(SHAPE, 20, 30, 9)
    carried = carry(tool, RGB, expected, replace(SETTINGS, enough=0.7), never)
    assert carried is not None
    ((clicks, prior),) = tool.asked
    assert [click.to_pixel(*SHAPE) for click in clicks] == [(20, 30)]
    assert prior is None  # a tool that follows its prior would only repeat it
    assert np.array_equal(carried.segmentation.mask, disc(SHAPE, 20, 30, 8))
    assert carried.agreement == iou(disc(SHAPE, 20, 30, 8), expected)
    assert carried.seconds > 0


def test_the_mask_lies_midway() -> None:
    tool, expected = DiscTool(14.0), disc(SHAPE, 20, 25, 10)
    carried = carry(tool, RGB, expected, replace(SETTINGS, clicks=1), never)
    assert carried is not None
    assert dice(carried.mask, disc(SHAPE, 20, 25, 12)) > 0.97


def test_a_later_click_refines_the_answer_to_the_one_before() -> None:
    expected = disc(SHAPE, 20, 12, 6) | disc(SHAPE, 20, 38, 6)
    tool = DiscTool(6.0)
    carried = carry(tool, RGB, expected, SETTINGS, never)
    assert carried is not None
    (_, first), (clicks, second) = tool.asked
    assert first is None
    assert second is not None
    assert second.logits is not None
    assert len(clicks) == 2
    assert carried.agreement == 1.0


def test_further_clicks_correct_the_tool() -> None:
    expected = disc(SHAPE, 20, 20, 9)
    half = expected & (np.arange(50) < 20)
    spilled = expected | disc(SHAPE, 20, 35, 8)
    tool = DeafTool(half, spilled, expected)
    carried = carry(tool, RGB, expected, SETTINGS, never)
    assert carried is not None
    assert [click.positive for click in tool.asked[-1][0]] == [True, True, False]
    missed, spill = (click.to_pixel(*SHAPE) for click in tool.asked[-1][0][1:])
    assert expected[missed]
    assert not half[missed]
    assert spilled[spill]
    assert not expected[spill]
    assert carried.agreement == 1.0
    assert carried.clicks == tuple(tool.asked[-1][0])


def test_the_answer_that_agreed_best_is_taken() -> None:
    expected = disc(SHAPE, 20, 20, 9)
    better, worse = disc(SHAPE, 20, 20, 7), disc(SHAPE, 20, 20, 5)
    tool = DeafTool(worse, better, worse)
    carried = carry(tool, RGB, expected, replace(SETTINGS, clicks=3), never)
    assert carried is not None
    assert np.array_equal(carried.segmentation.mask, better)
    assert len(carried.clicks) == 2
    assert len(tool.asked) == 3


def test_both_parts_of_a_target_get_a_click() -> None:
    expected = disc(SHAPE, 20, 12, 6) | disc(SHAPE, 20, 38, 6)
    left = disc(SHAPE, 20, 12, 6)
    tool = DeafTool(left, expected)
    assert carry(tool, RGB, expected, SETTINGS, never) is not None
    assert {click.to_pixel(*SHAPE) for click in tool.asked[-1][0]} == {(20, 12), (20, 38)}


def test_cancelling_is_heard_before_each_call() -> None:
    for allowed in range(4):
        expected = disc(SHAPE, 20, 20, 9)
        tool, reads = DeafTool(*[disc(SHAPE, 20, 20, 3)] * 9), []

        def cancelled(reads: list[int] = reads, allowed: int = allowed) -> bool:
            reads.append(1)
            return len(reads) > allowed

        assert carry(tool, RGB, expected, SETTINGS, cancelled) is None
        assert len(tool.asked) == max(allowed - 1, 0)  # one read is for the embedding
