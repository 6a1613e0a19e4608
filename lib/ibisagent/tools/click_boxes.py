"""Candidate boxes for a click, for models that understand boxes better than points.

Boxes live in the model's square: (left, top, right, bottom), whole pixels, both ends included.
The annotator that we have in mind clicks the middle of the worst error (FACTS of the field:
the deepest point of the larger error region is the usual simulation). From that follows where
the border of the target may be, and hence which boxes are worth a try.
"""

from __future__ import annotations

import numpy as np

from ibisagent.tools.base import Mask

Box = tuple[int, int, int, int]
Pixel = tuple[int, int]

FIRST_HALF_SIZES = (6, 8, 11, 15, 20, 26, 34, 45, 60, 78)
"""Half-sizes of the squares tried around a first click, pixels of 256. They grow by a third, so
that one lies within a sixth of any target of 2-60 % of the image's length."""

LATER_REACHES = (1.0, 1.6, 2.6)
"""Half-sizes of the squares tried around a later click, in distances from it to the border of
the mask: an error is about as deep as that, and somewhat longer than it is deep."""


def around(pixel: Pixel, half: float, size: tuple[int, int]) -> Box:
    """Square around a pixel (row, column), cut at the image of (height, width) `size`."""
    row, column = pixel
    return _cut((column - half, row - half, column + half, row + half), size)


def first_boxes(pixel: Pixel, size: tuple[int, int]) -> list[Box]:
    """Boxes for a target of unknown size in whose middle somebody clicked."""
    return _distinct([around(pixel, half, size) for half in FIRST_HALF_SIZES])


def local_boxes(pixel: Pixel, reach: float, size: tuple[int, int]) -> list[Box]:
    """Boxes for what is missing, or too much, around a click `reach` pixels from the border."""
    return _distinct([around(pixel, max(3.0, reach * factor), size) for factor in LATER_REACHES])


def grown_boxes(mask: Mask, pixel: Pixel, reach: float) -> list[Box]:
    """Boxes for a target that reaches as far beyond a click as the click is from the mask.

    Once towards the click only, and once on all sides.
    """
    left, top, right, bottom = bounds(mask)
    row, column = pixel
    towards = (
        min(left, column - reach),
        min(top, row - reach),
        max(right, column + reach),
        max(bottom, row + reach),
    )
    wide = (left - 2 * reach, top - 2 * reach, right + 2 * reach, bottom + 2 * reach)
    return _distinct([_cut(towards, mask.shape), _cut(wide, mask.shape)])


def shrunk_boxes(mask: Mask, pixel: Pixel, reach: float, keep: list[Pixel]) -> list[Box]:
    """Boxes for a target that ends before a negative click, and holds the pixels of `keep`.

    The mask's box, once with each side moved to exclude the click (the one or two largest that
    remain), and once drawn in on all sides.
    """
    left, top, right, bottom = bounds(mask)
    row, column = pixel
    cuts = [
        (left, top, column - reach, bottom),
        (column + reach, top, right, bottom),
        (left, top, right, row - reach),
        (left, row + reach, right, bottom),
    ]
    cuts = sorted((cut for cut in cuts if _holds(cut, keep)), key=_area, reverse=True)[:2]
    narrow = (left + 2 * reach, top + 2 * reach, right - 2 * reach, bottom - 2 * reach)
    if _holds(narrow, keep):
        cuts.append(narrow)
    return _distinct([_cut(cut, mask.shape) for cut in cuts])


def bounds(mask: Mask) -> Box:
    """Smallest box around a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _cut(box: tuple[float, float, float, float], size: tuple[int, int]) -> Box:
    height, width = size
    left, top, right, bottom = (round(side) for side in box)
    return max(0, left), max(0, top), min(width - 1, right), min(height - 1, bottom)


def _holds(box: tuple[float, float, float, float], pixels: list[Pixel]) -> bool:
    left, top, right, bottom = box
    inside = all(left <= column <= right and top <= row <= bottom for row, column in pixels)
    return left < right and top < bottom and inside


def _area(box: tuple[float, float, float, float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _distinct(boxes: list[Box]) -> list[Box]:
    return list(dict.fromkeys(boxes))
