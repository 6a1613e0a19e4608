"""Fits pictures into what a model takes: not too many pixels, no side too short.

Clicks are fractions of the picture's sides, so they mean the same in any size.
"""

from __future__ import annotations

import math

from PIL import Image

from ibisagent.tools.base import RGB


def fit_size(height: int, width: int, max_pixels: int, min_side: int = 1) -> tuple[int, int]:
    """Height and width of the picture as the model shall see it.

    The shape is kept, except where a picture is so elongated that both limits cannot be met
    otherwise.

    Args:
        height: Of the picture, in pixels.
        width: Likewise.
        max_pixels: Most pixels, height times width; at least `min_side` squared.
        min_side: Fewest pixels of the shorter side.
    """
    scale = max(1.0, min_side / min(height, width))
    scale = min(scale, math.sqrt(max_pixels / (height * width)))
    rows, columns = (max(min_side, int(side * scale)) for side in (height, width))
    longest = max_pixels // min(rows, columns)
    return min(rows, longest), min(columns, longest)


def fitted(picture: RGB, max_pixels: int, min_side: int = 1) -> Image.Image:
    """The picture in a size that fits; see `fit_size`.

    Args:
        picture: Axes (row, column, channel), uint8.
        max_pixels: Most pixels.
        min_side: Fewest pixels of the shorter side.
    """
    image = Image.fromarray(picture)
    height, width = picture.shape[:2]
    rows, columns = fit_size(height, width, max_pixels, min_side)
    if (rows, columns) == (height, width):
        return image
    return image.resize((columns, rows), Image.Resampling.BICUBIC)
