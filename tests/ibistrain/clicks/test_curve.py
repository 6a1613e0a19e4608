"""Dice against clicks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ibisagent.actions import Click
from ibisagent.tools.base import RGB, Segmentation
from ibistrain.clicks.curve import (
    MOST_CLICKS,
    Curve,
    click_through,
    curves,
    draw_cases,
    is_small,
    mean_over_labels,
)
from ibistrain.labelled_picture import LabelledPicture


class Columns:
    """A tool whose every positive click marks the click's quarter of the columns."""

    name = "columns"

    def set_image(self, rgb: RGB) -> Columns:
        self.shape = rgb.shape[:2]
        return self

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        mask = np.zeros(self.shape, bool)
        for click in clicks:
            quarter = int(click.x * 4)
            width = self.shape[1] // 4
            mask[:, quarter * width : (quarter + 1) * width] = click.positive
        return Segmentation(mask, 1.0)


def test_each_click_corrects_the_largest_error() -> None:
    truth = np.zeros((40, 40), bool)
    truth[:, 0:10] = truth[:, 20:30] = True
    dices = click_through(Columns(), np.zeros((40, 40, 3), np.uint8), truth)
    assert dices == pytest.approx([2 / 3, *[1.0] * (MOST_CLICKS - 1)])


def test_cases_hold_every_label_of_every_set(pictures: list[LabelledPicture]) -> None:
    cases = draw_cases(pictures, 2)
    assert {label for _, label in cases} == {"disc", "square left", "thing"}
    assert len(cases) == 6
    assert cases == draw_cases(pictures, 2)
    found = list(curves(Columns(), cases))
    assert [curve.label for curve in found] == [label for _, label in cases]


def test_each_label_counts_once_and_late_success_is_a_late_click() -> None:
    def curve(label: str, *dices: float) -> Curve:
        return Curve("set", "s", label, False, dices)

    found = [curve("a", 0.2, 0.9), curve("a", 0.4, 0.9), curve("b", 0.9, 0.9), curve("c", 0, 0)]
    dices, clicks = mean_over_labels(found)
    assert dices == pytest.approx([0.4, 0.6])
    assert clicks == pytest.approx((2 + 1 + 2) / 3)


@pytest.mark.parametrize(
    ("rows", "columns", "small"), [(40, 40, False), (5, 5, True), (200, 2, True)]
)
def test_tiny_and_thin_targets_are_told_apart(rows: int, columns: int, small: bool) -> None:
    truth = np.zeros((256, 256), bool)
    truth[10 : 10 + rows, 10 : 10 + columns] = True
    assert is_small(truth) == small
