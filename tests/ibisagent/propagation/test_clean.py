from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from ibisagent.propagation.clean import CleanStep, clean

VOLUMES = arrays(np.bool_, st.tuples(*[st.integers(1, 6)] * 3))


def test_largest_keeps_one_part() -> None:
    mask = np.zeros((6, 6, 6), bool)
    mask[0, 0, :2] = mask[3:5, 3:5, 3:5] = True
    kept = clean(mask, CleanStep.LARGEST)
    assert kept.sum() == 8
    assert kept[4, 4, 4]


def test_holes_are_filled_only_where_enclosed_in_three_dimensions() -> None:
    mask = np.zeros((5, 5, 5), bool)
    mask[1:4, 1:4, 1:4] = True
    mask[2, 2, 2] = False
    assert clean(mask, CleanStep.HOLES).sum() == 27
    mask[1, 2, 2] = False  # now it is a pit
    assert clean(mask, CleanStep.HOLES).sum() == 25


@given(VOLUMES, st.sampled_from(CleanStep))
def test_a_step_taken_twice_changes_nothing_more(mask: np.ndarray, step: CleanStep) -> None:
    once = clean(mask, step)
    assert np.array_equal(clean(once, step), once)


@given(VOLUMES)
def test_largest_takes_away_and_holes_adds(mask: np.ndarray) -> None:
    assert not (clean(mask, CleanStep.LARGEST) & ~mask).any()
    assert ndimage.label(clean(mask, CleanStep.LARGEST))[1] <= 1
    assert not (mask & ~clean(mask, CleanStep.HOLES)).any()
