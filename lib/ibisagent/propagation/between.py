"""The mask to expect on a slice between two others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ibisagent.tools.base import Mask


def between(low: Mask, high: Mask, share: float) -> Mask:
    """Shape-based interpolation (Raya and Udupa, IEEE TMI 1990), aligned.

    Both outlines, as signed distance maps, are moved so that their centres of mass meet where
    the straight line between them passes the slice, and blended. Aligned, a vessel that runs
    obliquely keeps its calibre.

    Args:
        low: Mask of a slice on one side, axes (row, column).
        high: Mask of a slice on the other side.
        share: Weight of `low` in [0, 1]: 1 at its slice, 0 at that of `high`.

    Returns:
        The expected mask; empty where the two do not overlap, since then they may be two things
        with nothing between them.
    """
    if not (low & high).any():
        return np.zeros_like(low)
    centres = [np.asarray(ndimage.center_of_mass(mask)) for mask in (low, high)]
    here = share * centres[0] + (1 - share) * centres[1]
    maps = [
        ndimage.shift(_signed_distance(mask), here - centre, order=1, mode="nearest")
        for mask, centre in zip((low, high), centres, strict=True)
    ]
    blended: Mask = share * maps[0] + (1 - share) * maps[1] > 0
    return blended


def _signed_distance(mask: Mask) -> NDArray[np.float64]:
    """Distance in pixels to the outline, positive inside."""
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    return np.asarray(inside - outside, dtype=np.float64)
