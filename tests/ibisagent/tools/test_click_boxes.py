"""Boxes stay in the image and hold the click."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ibisagent.tools.click_boxes import FIRST_HALF_SIZES, first_boxes
from ibisagent.tools.click_consistency import Point

SIZE = (200, 256)


@given(st.integers(0, 199), st.integers(0, 255))
def test_boxes_around_a_click_lie_in_the_image_and_hold_it(row: int, column: int) -> None:
    for left, top, right, bottom in first_boxes(Point(row, column, True), SIZE):
        assert 0 <= left <= column <= right < SIZE[1]
        assert 0 <= top <= row <= bottom < SIZE[0]
        assert left < right
        assert top < bottom


def test_first_boxes_are_squares_of_all_sizes() -> None:
    boxes = first_boxes(Point(100, 120, True), SIZE)
    assert [box[2] - box[0] for box in boxes] == [2 * half for half in FIRST_HALF_SIZES]


def test_boxes_that_the_image_makes_equal_are_tried_once() -> None:
    assert first_boxes(Point(0, 0, True), (4, 4)) == [(0, 0, 3, 3)]
