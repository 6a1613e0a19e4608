"""Slices to measure on: as large as a CT's, smooth, and never the same twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ibisagent.tools.base import RGB, Mask

SIDE = 512


def volume(seed: int, slices: int = 4) -> NDArray[np.int16]:
    """A CT-like volume: air around an ellipse of soft tissue with bright and dark organs.

    Returns:
        Hounsfield-like values, axes (k, j, i), shape (slices, 512, 512).
    """
    random = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(random.normal(size=(slices, SIDE, SIDE)), (0, 12, 12))
    organs = 40 + 120 * noise / np.abs(noise).max()
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    body = (rows / 0.7) ** 2 + (columns / 0.85) ** 2 < 1
    values: NDArray[np.int16] = np.where(body, organs, -1000).astype(np.int16)
    return values


def picture(seed: int) -> RGB:
    """One slice as an agent sees it, axes (row, column, channel), uint8."""
    grey = np.clip((volume(seed, slices=1)[0] + 160) / 400 * 255, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., np.newaxis], 3, axis=2)


def ellipse() -> Mask:
    """A target to click towards, of the size of a large organ; axes (row, column)."""
    rows, columns = np.mgrid[0 : 1 : SIDE * 1j, 0 : 1 : SIDE * 1j]
    inside: Mask = ((rows - 0.5) / 0.12) ** 2 + ((columns - 0.42) / 0.18) ** 2 < 1
    return inside
