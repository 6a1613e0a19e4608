"""Means over labels and how sure they are, where subjects were seen several times.

Pictures of one person are not independent, so intervals come from drawing subjects with
replacement, and never questions (bootstrap, percentile method; Efron and Tibshirani 1993, chapter
13). The sets are taken as given: subjects are drawn within each set.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

RESAMPLES = 2000
LOW, HIGH = 2.5, 97.5
"""Percentiles of a 95 % interval."""

Floats = NDArray[np.float64]


class Interval(BaseModel):
    """A mean and its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @classmethod
    def of(cls, means: Floats) -> Interval:
        """The interval of a mean and of its draws, as `means_over_labels` gives them."""
        low, high = np.nanpercentile(means[1:], [LOW, HIGH])
        return cls(mean=float(means[0]), low=float(low), high=float(high))


def draws(subjects: Sequence[tuple[str, str]], seed: int) -> Floats:
    """How often each question counts, axes (draw, question); the first draw is the data itself.

    Args:
        subjects: (set, subject) of each question.
        seed: Equal seeds give equal draws.
    """
    names = sorted(set(subjects))
    counts = np.zeros((RESAMPLES + 1, len(names)))
    counts[0] = 1
    rng = np.random.default_rng(seed)
    for name in sorted({set_name for set_name, _ in names}):
        own = np.array([index for index, subject in enumerate(names) if subject[0] == name])
        counts[1:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), RESAMPLES)
    place = {subject: index for index, subject in enumerate(names)}
    return counts[:, [place[subject] for subject in subjects]]


def means_over_labels(
    labels: Sequence[tuple[str, str]], values: ArrayLike, counted: Floats
) -> Floats:
    """Mean over labels of the mean over questions, axis (draw); labels not drawn are left out.

    Args:
        labels: (set, label) of each question.
        values: One a question.
        counted: From `draws`.
    """
    figures = np.asarray(values, dtype=np.float64)
    means = []
    for label in sorted(set(labels)):
        own = np.array([other == label for other in labels])
        weights = counted[:, own]
        number = weights.sum(axis=1)
        total = weights @ figures[own]
        means.append(np.where(number > 0, total / np.maximum(number, 1), np.nan))
    return np.asarray(np.nanmean(np.stack(means), axis=0), dtype=np.float64)
