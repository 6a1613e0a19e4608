"""Clicks are facts: a positive one lies inside the mask, a negative one outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ibisagent.tools.base import Mask

Logits = NDArray[np.float32]
"""Mask logits, axes (row, column); above 0 is inside."""

FIRM = 4.0
"""Logit written where a click overrules the model (sigmoid 0.98)."""


class Point(NamedTuple):
    """A click in pixels of some grid."""

    row: int
    column: int
    positive: bool

    @property
    def pixel(self) -> tuple[int, int]:
        """(row, column), to index arrays with."""
        return self.row, self.column


def obeys(mask: Mask, point: Point) -> bool:
    """Whether a mask says at a click what the click says."""
    return bool(mask[point.pixel]) == point.positive


def obey(logits: Logits, points: Sequence[Point]) -> Logits:
    """Logits that agree with every click.

    A click that is contradicted turns a disc around it: as wide as the wrong region is deep
    there, but at most half-way to the nearest click that says the opposite, so that no click
    undoes another. Where two clicks share a pixel the later one counts.

    Args:
        logits: Axes (row, column); not changed.
        points: In pixels of `logits`, oldest first.
    """
    for point in points:
        if not obeys(logits > 0, point):
            logits = _turn_disc(logits, point, points)
    return logits


def depth(mask: Mask) -> NDArray[np.float64]:
    """Distance of each pixel of a mask to what is outside, 0 outside; the image ends outside."""
    distances = np.zeros(mask.shape)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size:
        # only the mask's own box, which is often much smaller than the image
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        distances[box] = ndimage.distance_transform_edt(np.pad(mask[box], 1))[1:-1, 1:-1]
    return distances


def depth_at(mask: Mask, point: Point) -> float:
    """Distance from a click to the nearest pixel that is not of the mask."""
    return float(depth(mask)[point.pixel])


def _turn_disc(logits: Logits, point: Point, points: Sequence[Point]) -> Logits:
    wrong = logits <= 0 if point.positive else logits > 0
    opposite = [p for p in points if p.positive != point.positive]
    half_way = [np.hypot(p.row - point.row, p.column - point.column) / 2 for p in opposite]
    radius = min([depth_at(wrong, point), *half_way])
    rows, columns = np.ogrid[: logits.shape[0], : logits.shape[1]]
    disc = (rows - point.row) ** 2 + (columns - point.column) ** 2 < max(radius, 0.5) ** 2
    firm = np.maximum(logits, FIRM) if point.positive else np.minimum(logits, -FIRM)
    return np.where(disc, firm, logits)
