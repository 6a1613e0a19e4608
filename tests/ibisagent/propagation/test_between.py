from __future__ import annotations

import numpy as np
import pytest
from harness.fake_tool import disc
from hypothesis import given
from hypothesis import strategies as st

from ibisagent.metrics import dice
from ibisagent.propagation.between import between

SHAPE = (60, 70)
PLACES = st.tuples(st.integers(20, 40), st.integers(20, 50))


@given(PLACES, st.integers(4, 15), st.floats(0, 1))
def test_between_equal_masks_lies_the_same_mask(place, radius: int, share: float) -> None:
    mask = disc(SHAPE, *place, radius)
    assert np.array_equal(between(mask, mask, share), mask)


@given(PLACES, st.integers(5, 15), st.floats(0, 1))
def test_both_sides_are_alike(place, radius: int, share: float) -> None:
    low, high = disc(SHAPE, *place, radius), disc(SHAPE, place[0] + 3, place[1] - 2, radius + 3)
    there, back = between(low, high, share), between(high, low, 1 - share)
    assert np.count_nonzero(there != back) <= 2  # a pixel may lie on the outline to rounding


@pytest.mark.parametrize(("share", "end"), [(1.0, "low"), (0.0, "high")])
def test_at_an_end_lies_the_mask_of_that_end(share: float, end: str) -> None:
    masks = {"low": disc(SHAPE, 20, 20, 8), "high": disc(SHAPE, 26, 25, 12)}
    assert np.array_equal(between(masks["low"], masks["high"], share), masks[end])


def test_the_radius_grows_evenly() -> None:
    middle = between(disc(SHAPE, 30, 30, 6), disc(SHAPE, 30, 30, 14), 0.5)
    assert dice(middle, disc(SHAPE, 30, 30, 10)) > 0.97


def test_an_oblique_vessel_keeps_its_calibre() -> None:
    middle = between(disc(SHAPE, 30, 20, 8), disc(SHAPE, 30, 34, 8), 0.5)
    assert dice(middle, disc(SHAPE, 30, 27, 8)) > 0.97


def test_between_two_things_lies_nothing() -> None:
    assert not between(disc(SHAPE, 15, 15, 8), disc(SHAPE, 45, 50, 8), 0.5).any()
    assert not between(disc(SHAPE, 15, 15, 8), np.zeros(SHAPE, bool), 0.5).any()
