"""The overlay: the one way a mask is drawn into the picture that a policy sees."""

from __future__ import annotations

import numpy as np

from ibisagent.tools.base import RGB, Mask


def overlay(rgb: RGB, mask: Mask, colour: tuple[int, int, int], alpha: float) -> RGB:
    """Blend a colour into the masked pixels.

    Args:
        rgb: Image, axes (row, column, channel), uint8.
        mask: Mask of the same height and width.
        colour: Red, green and blue, 0-255.
        alpha: Share of the colour in the blend, in (0, 1].

    Returns:
        A new image; where the mask is empty, an equal copy of `rgb`.
    """
    picture = rgb.copy()
    blend = (1.0 - alpha) * rgb[mask].astype(np.float32) + alpha * np.asarray(colour, np.float32)
    picture[mask] = np.rint(blend).astype(np.uint8)
    return picture
