"""Volumes with a known target, in which no two slices look alike."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

GREY = "127.5,255"
"""The window in which the phantoms' intensities are grey values."""


def tube(
    size: tuple[int, int, int] = (40, 40, 44),
    first: int = 6,
    last: int = 33,
    axis: int = 0,
    radius: float = 7.0,
    drift: float = 0.2,
) -> np.ndarray:
    """A tube along an axis that drifts aside; bool, axes (k, j, i), slices first to last."""
    across, down, right = (size[axis], *np.delete(size, axis))
    mask = np.zeros((across, down, right), dtype=bool)
    rows, columns = np.ogrid[:down, :right]
    for index in range(first, last + 1):
        row, column = down / 2 - 3, right / 2 - 4 + drift * (index - first)
        mask[index] = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return np.moveaxis(mask, 0, axis)


def image_of(
    truth: np.ndarray,
    direction: np.ndarray | None = None,
    spacing: tuple[float, float, float] = (3.0, 3.0, 3.0),
) -> sitk.Image:
    """The target bright on noise, as an image of any position; spacing as (i, j, k) in mm."""
    noise = np.random.default_rng(0).integers(0, 100, truth.shape)
    image = sitk.GetImageFromArray((noise + 100 * truth).astype(np.int16))
    image.SetDirection((np.eye(3) if direction is None else direction).ravel().tolist())
    image.SetSpacing(spacing)
    image.SetOrigin((-31.0, 12.0, 200.0))
    return image
