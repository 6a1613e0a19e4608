"""Contrasts that no scanner made: each labelled region in a grey value of its own.

After SynthSeg (Billot et al., Medical Image Analysis 2023): what has seen every contrast relies
on none. The picture's own texture is kept in part, so that regions are not flat.
"""

from __future__ import annotations

from random import Random

import numpy as np
from numpy.typing import NDArray

from ibisagent.tools.base import RGB


def repaint(rgb: RGB, labels: NDArray[np.uint8], rng: Random) -> RGB:
    """Move the brightness of each labelled region, and of the background, at random.

    Args:
        rgb: Axes (row, column, channel).
        labels: Label ids, axes (row, column).
        rng: Draws the grey values.
    """
    out = rgb.astype(np.float32)
    for value in np.unique(labels).tolist():
        region = labels == value
        texture = out[region] - out[region].mean()
        shift = rng.uniform(20, 235)
        mixed = shift if value else 0.5 * (shift + float(out[region].mean()))
        out[region] = mixed + rng.uniform(0.3, 1.0) * texture
    return out.round().clip(0, 255).astype(np.uint8)
