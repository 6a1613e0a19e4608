"""Whatever the model says, clicks hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ibisagent.tools.click_consistency import Point, depth, depth_at, obey, obeys

SIZE = (12, 9)
POINTS = st.lists(
    st.builds(Point, st.integers(0, 11), st.integers(0, 8), st.booleans()),
    max_size=8,
    unique_by=lambda point: point.pixel,
)
LOGITS = arrays.arrays(np.float32, SIZE, elements=st.floats(-9, 9, width=32))


@given(LOGITS, POINTS)
def test_every_click_holds_afterwards(logits: np.ndarray, points: list[Point]) -> None:
    before = logits.copy()
    mask = obey(logits, points) > 0
    assert all(obeys(mask, point) for point in points)
    assert np.array_equal(logits, before)


@given(LOGITS, POINTS)
def test_obeying_twice_changes_nothing_more(logits: np.ndarray, points: list[Point]) -> None:
    once = obey(logits, points)
    assert np.array_equal(obey(once, points), once)


def test_what_agrees_is_left_alone() -> None:
    logits = np.full(SIZE, 3, dtype=np.float32)
    assert obey(logits, [Point(1, 1, True)]) is logits


def test_the_later_click_in_a_pixel_counts() -> None:
    logits = np.full(SIZE, -3, dtype=np.float32)
    assert obey(logits, [Point(4, 4, True), Point(4, 4, False)])[4, 4] < 0
    assert obey(logits, [Point(4, 4, False), Point(4, 4, True)])[4, 4] > 0


def test_a_negative_click_removes_the_region_around_it() -> None:
    mask = np.zeros((40, 40), dtype=bool)
    mask[5:35, 5:35] = True
    logits = np.where(mask, 2, -2).astype(np.float32)
    after = obey(logits, [Point(19, 12, False), Point(19, 25, True)]) > 0
    assert not after[19, 7:18].any()
    assert after[19, 19:30].all()


def test_depth_is_the_distance_to_the_outside() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:7, 2:7] = True
    assert depth(mask)[4].tolist() == [0, 0, 1, 2, 3, 2, 1, 0, 0]
    assert depth_at(mask, Point(4, 4, True)) == 3


def test_the_image_ends_outside() -> None:
    assert depth(np.ones((3, 3), dtype=bool)).tolist() == [[1, 1, 1], [1, 2, 1], [1, 1, 1]]


@pytest.mark.parametrize("size", [(1, 1), (1, 7)])
def test_an_empty_mask_has_no_depth(size: tuple[int, int]) -> None:
    assert not depth(np.zeros(size, dtype=bool)).any()
