"""Steps on a finished mask. None is taken unless it is asked for.

What agent and tool made stays as it is: dropping all but the largest part would lose the second
kidney or a small lesion, and filling holes would close the chamber of a heart whose wall was
asked for.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ibisagent.tools.base import Mask


class CleanStep(str, Enum):
    """What may be done to a finished mask."""

    LARGEST = "largest"
    """Keep the largest part only; parts hang together by voxel faces."""
    HOLES = "holes"
    """Fill what the mask encloses on all sides."""


def clean(mask: Mask, step: CleanStep) -> Mask:
    """The mask after one step.

    Args:
        mask: Axes (k, j, i), or (row, column).
        step: What to do.

    Returns:
        A new mask. Of several largest parts of one size, the first in the order of the array.
    """
    if step is CleanStep.HOLES:
        filled: Mask = ndimage.binary_fill_holes(mask)
        return filled
    parts: NDArray[np.int32]
    parts, number = ndimage.label(mask)
    if number < 2:
        return mask.copy()
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0  # the background
    largest: Mask = parts == int(sizes.argmax())
    return largest
