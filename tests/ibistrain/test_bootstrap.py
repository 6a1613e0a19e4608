"""Means over labels, and draws of subjects; `test_comparison` holds the intervals to scipy's."""

from __future__ import annotations

import numpy as np
import pytest

from ibistrain.bootstrap import RESAMPLES, Interval, draws, means_over_labels

SUBJECTS = [("x", "a"), ("x", "a"), ("x", "b"), ("y", "a")]


def test_subjects_are_drawn_whole_and_within_their_set() -> None:
    counted = draws(SUBJECTS, seed=1)
    assert counted.shape == (RESAMPLES + 1, 4)
    assert (counted[0] == 1).all()
    assert (counted[:, 0] == counted[:, 1]).all()
    assert (counted[:, 0] + counted[:, 2] == 2).all()  # two subjects of x in every draw
    assert (counted[:, 3] == 1).all()


def test_each_label_counts_once() -> None:
    labels = [("x", "liver"), ("x", "liver"), ("x", "spleen"), ("y", "liver")]
    means = means_over_labels(labels, [0.2, 0.4, 0.6, 0.9], draws(SUBJECTS, seed=1))
    assert means[0] == pytest.approx((0.3 + 0.6 + 0.9) / 3)


def test_an_interval_is_of_the_draws_and_the_mean_of_the_data() -> None:
    interval = Interval.of(np.array([5.0, *range(101)]))
    assert (interval.mean, interval.low, interval.high) == (5.0, 2.5, 97.5)
