"""Edits by clicks, with a model that fills every box with an ellipse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ibisagent.tools.base import Mask
from ibisagent.tools.click_boxes import Box
from ibisagent.tools.click_consistency import Point, obeys
from ibisagent.tools.click_editing import Draft, advance

SIZE = (90, 120)
EMPTY = Draft(np.full(SIZE, -8, dtype=np.float32), 0.0)


def ellipses(boxes: Sequence[Box]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    masks = []
    for left, top, right, bottom in boxes:
        y = (rows - (top + bottom) / 2) / ((bottom - top) / 2 + 0.5)
        x = (columns - (left + right) / 2) / ((right - left) / 2 + 0.5)
        masks.append(6 - 6 * (y**2 + x**2))
    return np.array(masks, dtype=np.float32), np.full(len(masks), 0.9, dtype=np.float32)


def drawn(mask: Mask) -> Draft:
    return Draft(np.where(mask, 5, -5).astype(np.float32), 0.5)


def square(top: int, left: int, bottom: int, right: int) -> Mask:
    mask = np.zeros(SIZE, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def test_a_first_click_draws_a_mask_around_it() -> None:
    found = advance(EMPTY, [Point(45, 60, True)], ellipses)
    assert found.logits[45, 60] > 0
    assert 0 < found.score <= 1


def test_a_first_negative_click_leaves_nothing() -> None:
    assert advance(EMPTY, [Point(45, 60, False)], ellipses) is EMPTY


def test_a_click_that_is_already_obeyed_changes_nothing() -> None:
    draft = drawn(square(20, 20, 60, 60))
    assert advance(draft, [Point(40, 40, True)], ellipses) is draft
    assert advance(draft, [Point(80, 100, False)], ellipses) is draft


def test_a_positive_click_beside_the_mask_adds_to_it() -> None:
    draft = drawn(square(30, 20, 60, 50))
    found = advance(draft, [Point(45, 35, True), Point(45, 62, True)], ellipses)
    after = found.logits > 0
    assert after[45, 50:68].all()
    assert after[45, 25:50].all()


def test_a_negative_click_takes_away_from_the_mask() -> None:
    draft = drawn(square(30, 20, 60, 90))
    found = advance(draft, [Point(45, 35, True), Point(45, 75, False)], ellipses)
    after = found.logits > 0
    assert after[45, 35]
    assert not after[45, 70:80].any()
    assert not (after & ~square(30, 20, 60, 90)).any()


def test_a_correction_of_little_is_scored_above_one_of_much() -> None:
    draft = drawn(square(10, 10, 80, 80))
    little = advance(draft, [Point(45, 45, True), Point(45, 84, True)], ellipses)
    much = advance(draft, [Point(20, 20, True), Point(50, 50, False)], ellipses)
    assert little.score > much.score


CLICKS = st.lists(
    st.builds(Point, st.integers(0, 89), st.integers(0, 119), st.booleans()),
    min_size=1,
    max_size=5,
    unique_by=lambda point: point.pixel,
)


@settings(deadline=None, max_examples=25)
@given(CLICKS, st.sampled_from([EMPTY, drawn(square(20, 30, 70, 90))]))
def test_all_clicks_hold_at_every_step(points: list[Point], draft: Draft) -> None:
    positive_seen = bool((draft.logits > 0).any())
    for n in range(1, len(points) + 1):
        draft = advance(draft, points[:n], ellipses)
        mask = draft.logits > 0
        positive_seen |= points[n - 1].positive
        assert all(obeys(mask, point) for point in points[:n])
        assert mask.any() == positive_seen or not points[n - 1].positive
        assert 0 <= draft.score <= 1


def test_every_edit_costs_one_call_of_the_model() -> None:
    calls = []

    def counted(boxes: Sequence[Box]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        calls.append(boxes)
        return ellipses(boxes)

    draft = advance(EMPTY, [Point(45, 60, True)], counted)
    advance(draft, [Point(45, 60, True), Point(10, 10, True)], counted)
    assert len(calls) == 2
    assert all(len(boxes) == len(set(boxes)) for boxes in calls)


@pytest.mark.parametrize("size", [(1, 1), (1, 256), (3, 2)])
def test_tiny_grids_work(size: tuple[int, int]) -> None:
    def full(boxes: Sequence[Box]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return np.ones((len(boxes), *size), np.float32), np.ones(len(boxes), np.float32)

    draft = Draft(np.full(size, -8, dtype=np.float32), 0.0)
    draft = advance(draft, [Point(0, 0, True)], full)
    assert draft.logits[0, 0] > 0
    last = Point(size[0] - 1, size[1] - 1, False)
    assert advance(draft, [Point(0, 0, True), last], full).logits[last.pixel] <= 0
