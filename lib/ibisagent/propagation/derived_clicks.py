"""What a mask says to the tool on the neighbouring slice, as clicks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ibisagent.actions import Click
from ibisagent.tools.base import Mask

SAFE_DEPTH = 0.5
"""Share of a part's greatest depth from which a point is safe: the neighbour's outline moves."""


def derived_clicks(mask: Mask, most: int) -> list[Click]:
    """Positive clicks that stand for a mask.

    The first is its deepest point; each further one is, of all points that are deep in their
    part, the one farthest from those before it. So an elongated target gets clicks along it,
    and one in two parts gets clicks in both.

    Args:
        mask: Axes (row, column), not empty.
        most: Most clicks, at least 1; a small mask gets fewer.
    """
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1)))[1:-1, 1:-1]
    safe = _safe_points(mask, depth)
    chosen = [np.unravel_index(int(depth.argmax()), mask.shape)]
    apart = _distances(safe, chosen[0])
    while len(chosen) < most and apart.max() > depth.max():
        chosen.append(tuple(safe[int(apart.argmax())]))
        apart = np.minimum(apart, _distances(safe, chosen[-1]))
    return [Click.from_pixel(int(row), int(column), *mask.shape) for row, column in chosen]


def _safe_points(mask: Mask, depth: NDArray[np.float64]) -> NDArray[np.intp]:
    """Rows and columns of the points that are deep in their part, axes (point, 2)."""
    parts, number = ndimage.label(mask)
    deepest = np.asarray([0.0, *ndimage.maximum(depth, parts, range(1, number + 1))])
    points: NDArray[np.intp] = np.argwhere(mask & (depth >= SAFE_DEPTH * deepest[parts]))
    return points


def _distances(points: NDArray[np.intp], place: tuple[np.intp, ...]) -> NDArray[np.float64]:
    return np.hypot(*(points - np.asarray(place)).T)
