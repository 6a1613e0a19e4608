"""What a later click may change."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ibisagent.tools.click_consistency import Logits, Point
from ibisagent.tools.click_merge import merge

SIDE = 12
grids = arrays(np.float32, (SIDE, SIDE), elements=st.floats(-8, 8, width=32))
clicks = st.builds(Point, st.integers(0, SIDE - 1), st.integers(0, SIDE - 1), st.booleans())


def stripes(*columns: int) -> Logits:
    logits = np.full((SIDE, SIDE), -4, np.float32)
    logits[:, list(columns)] = 4
    return logits


def test_only_the_clicked_region_of_the_difference_is_taken_over() -> None:
    merged = merge(stripes(0), stripes(0, 4, 5, 9), Point(3, 4, True))
    assert np.array_equal(merged > 0, stripes(0, 4, 5) > 0)


def test_a_region_may_be_taken_away() -> None:
    merged = merge(stripes(0, 4, 9), stripes(9, 11), Point(3, 4, False))
    assert np.array_equal(merged > 0, stripes(0, 9) > 0)


def test_a_first_click_draws_the_whole_mask() -> None:
    assert np.array_equal(merge(stripes(), stripes(1, 5), Point(0, 1, True)), stripes(1, 5))


@given(grids, grids, clicks)
def test_the_click_decides_between_the_two_masks(
    before: Logits, after: Logits, click: Point
) -> None:
    merged = merge(before, after, click)
    assert (merged[click.pixel] > 0) == (after[click.pixel] > 0) or not (before > 0).any()
    assert (((merged > 0) == (before > 0)) | ((merged > 0) == (after > 0))).all()
