"""Boxes stay in the image, hold what they must, and leave out what they must."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ibisagent.tools.base import Mask
from ibisagent.tools.click_boxes import (
    FIRST_HALF_SIZES,
    Box,
    bounds,
    first_boxes,
    grown_boxes,
    local_boxes,
    shrunk_boxes,
)
from ibisagent.tools.click_consistency import Point

SIZE = (200, 256)


def square(top: int, left: int, bottom: int, right: int) -> Mask:
    mask = np.zeros(SIZE, dtype=bool)
    mask[top : bottom + 1, left : right + 1] = True
    return mask


def holds(box: Box, point: Point) -> bool:
    return box[0] <= point.column <= box[2] and box[1] <= point.row <= box[3]


@given(st.integers(0, 199), st.integers(0, 255), st.floats(0.5, 300))
def test_boxes_around_a_click_lie_in_the_image_and_hold_it(
    row: int, column: int, reach: float
) -> None:
    click = Point(row, column, True)
    for box in first_boxes(click, SIZE) + local_boxes(click, reach, SIZE):
        left, top, right, bottom = box
        assert 0 <= left < right < SIZE[1]
        assert 0 <= top < bottom < SIZE[0]
        assert holds(box, click)


def test_first_boxes_are_squares_of_all_sizes() -> None:
    boxes = first_boxes(Point(100, 120, True), SIZE)
    assert [box[2] - box[0] for box in boxes] == [2 * half for half in FIRST_HALF_SIZES]


def test_boxes_that_the_image_makes_equal_are_tried_once() -> None:
    assert first_boxes(Point(0, 0, True), (4, 4)) == [(0, 0, 3, 3)]


def test_local_boxes_grow_with_the_distance_to_the_border() -> None:
    click = Point(100, 120, True)
    assert local_boxes(click, 10, SIZE)[0] == (110, 90, 130, 110)
    assert local_boxes(click, 0.1, SIZE) == [(117, 97, 123, 103)]


def test_a_grown_box_holds_mask_and_click_with_what_lies_behind_it() -> None:
    towards, wide = grown_boxes(square(50, 60, 80, 90), Point(65, 110, True), 20)
    assert towards == (60, 45, 130, 85)
    assert wide == (20, 10, 130, 120)


def test_shrunk_boxes_exclude_the_negative_click_and_hold_the_positive_ones() -> None:
    click, keep = Point(65, 85, False), [Point(65, 65, True)]
    boxes = shrunk_boxes(square(50, 60, 80, 90), click, 5, keep)
    assert boxes
    for box in boxes:
        assert holds(box, keep[0])
        assert not holds(box, click)
    assert boxes[0] == (60, 50, 80, 80)


def test_no_box_can_hold_a_positive_click_beside_a_negative_one() -> None:
    keep = [Point(50, 60, True), Point(80, 90, True)]
    assert shrunk_boxes(square(50, 60, 80, 90), Point(65, 75, False), 5, keep) == []


def test_bounds_of_a_pixel() -> None:
    assert bounds(square(7, 9, 7, 9)) == (9, 7, 9, 7)
