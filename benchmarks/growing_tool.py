"""A cheap tool that follows clicks imperfectly: it grows a region of like brightness.

It knows nothing of the truth. It stops at a fixed distance from the click, so that a large target
needs several, and it leaks where neighbours are equally bright. Each click edits the mask before
it: a positive one adds what grows from it, a negative one takes that away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ibisagent.actions import Click
from ibisagent.tools.base import RGB, Mask, Segmentation

REACH = 0.10
"""How far a positive click reaches, as a share of the picture's longer side."""
NEGATIVE_REACH = 0.08
TOLERANCE = 22.0
"""Difference in brightness (0-255) that still counts as alike."""
RIM = 56.0
"""Likewise for the outermost pixel, which is blurred."""
EDGE = 12.0
"""Change of brightness a pixel that counts as an edge."""


class GrowingTool:
    """Region growing around clicks, behind the interface of every segmentation tool."""

    name = "region growing"

    def set_image(self, rgb: RGB) -> GrowingImage:
        """Smooth the picture, axes (row, column, channel), uint8."""
        return GrowingImage(ndimage.gaussian_filter(rgb.mean(axis=2), 0.8))


class GrowingImage:
    """A picture that clicks can be put on.

    Args:
        grey: Smoothed brightness, 0-255, axes (row, column).
    """

    def __init__(self, grey: NDArray[np.float64]) -> None:
        self._grey = grey
        self._rows, self._columns = np.indices(grey.shape)
        self._steep = ndimage.gaussian_gradient_magnitude(grey, 0.7) > EDGE

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        """Edit the prior mask by the last click; without one, by all clicks in turn."""
        mask = np.zeros(self._grey.shape, bool) if prior is None else prior.mask
        first = 0 if prior is None else len(clicks) - 1
        for number in range(first, len(clicks)):
            mask = self._edited(mask, clicks[: number + 1])
        return Segmentation(mask, self._score(mask))

    def _edited(self, mask: Mask, clicks: Sequence[Click]) -> Mask:
        last = clicks[-1]
        here = self._distance(last)
        reach = (REACH if last.positive else NEGATIVE_REACH) * max(mask.shape)
        near = here <= reach
        for click in clicks[:-1]:
            if click.positive != last.positive:  # an earlier click keeps what is nearer to it
                near &= here <= self._distance(click)
        at = last.to_pixel(*mask.shape)
        centre = self._grey[max(at[0] - 1, 0) : at[0] + 2, max(at[1] - 1, 0) : at[1] + 2].mean()
        difference = np.abs(self._grey - centre)
        alike = near & (difference < TOLERANCE)
        alike[at] = True
        parts, _ = ndimage.label(alike)
        grown = _closed(parts == parts[at])
        grown |= ndimage.binary_dilation(grown) & near & (difference < RIM)
        return np.asarray(mask | grown if last.positive else mask & ~grown, dtype=bool)

    def _distance(self, click: Click) -> NDArray[np.float64]:
        row, column = click.to_pixel(*self._grey.shape)
        return np.hypot(self._rows - row, self._columns - column)

    def _score(self, mask: Mask) -> float:
        """Share of the mask's border that lies on an edge of the picture."""
        border = mask & ~ndimage.binary_erosion(mask)
        return float(self._steep[border].mean()) if border.any() else 0.0


def _closed(mask: Mask) -> Mask:
    """The mask without holes: what cannot be reached from the picture's edge."""
    parts, count = ndimage.label(~np.pad(mask, 1))
    return np.asarray(parts[1:-1, 1:-1] != parts[0, 0]) if count > 1 else mask
