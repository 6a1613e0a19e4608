"""Candidate boxes for a click, for models that understand boxes better than points.

Boxes live in the model's square: (left, top, right, bottom), whole pixels, both ends included.
The annotator that we have in mind clicks the middle of the worst error. From that follows where
the border of the target may be, and hence which boxes are worth a try: if an error is a rim
between the mask's border and the target's, its middle is as far from the one as from the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ibisagent.tools.base import Mask
from ibisagent.tools.click_consistency import Point

Box = tuple[int, int, int, int]

FIRST_HALF_SIZES = (6, 8, 11, 15, 20, 26, 34, 45, 60, 78)
"""Half-sizes of the squares tried around a first click, pixels of 256. They grow by a third, so
that one lies within a sixth of any target of 2-60 % of the image's length."""

LATER_REACHES = (1.0, 1.6, 2.6)
"""Half-sizes of the squares tried around a later click, in distances from it to the border of
the mask: an error is about as deep as that, and often longer than it is deep."""

SMALLEST_HALF_SIZE = 3.0
"""The model sees patches of 4 pixels; smaller boxes mean nothing to it."""


def first_boxes(click: Point, size: tuple[int, int]) -> list[Box]:
    """Boxes for a target of unknown size in whose middle somebody clicked.

    Args:
        click: In the image.
        size: (height, width) of the image in the square.
    """
    return _distinct(_around(click, half, size) for half in FIRST_HALF_SIZES)


def local_boxes(click: Point, reach: float, size: tuple[int, int]) -> list[Box]:
    """Boxes for what is missing, or too much, around a click `reach` pixels from the border."""
    halves = (max(SMALLEST_HALF_SIZE, reach * factor) for factor in LATER_REACHES)
    return _distinct(_around(click, half, size) for half in halves)


def grown_boxes(mask: Mask, click: Point, reach: float) -> list[Box]:
    """Boxes for a target that goes on beyond a positive click outside of the mask.

    Its border is expected as far behind the click as the click is from the mask (`reach`): once
    on the click's side, and once on all sides.
    """
    left, top, right, bottom = bounds(mask)
    towards = (
        min(left, click.column - reach),
        min(top, click.row - reach),
        max(right, click.column + reach),
        max(bottom, click.row + reach),
    )
    wide = (left - 2 * reach, top - 2 * reach, right + 2 * reach, bottom + 2 * reach)
    size = (mask.shape[0], mask.shape[1])
    return _distinct([_cut(towards, size), _cut(wide, size)])


def shrunk_boxes(mask: Mask, click: Point, reach: float, keep: Sequence[Point]) -> list[Box]:
    """Boxes for a target that ends before a negative click and holds the clicks of `keep`.

    The mask's box with one side moved past the click (the two largest that remain), and the
    mask's box drawn in on all sides.
    """
    left, top, right, bottom = bounds(mask)
    sides = [
        (left, top, click.column - reach, bottom),
        (click.column + reach, top, right, bottom),
        (left, top, right, click.row - reach),
        (left, click.row + reach, right, bottom),
    ]
    largest = sorted((box for box in sides if _holds(box, keep)), key=_area, reverse=True)[:2]
    narrow = (left + 2 * reach, top + 2 * reach, right - 2 * reach, bottom - 2 * reach)
    if _holds(narrow, keep):
        largest.append(narrow)
    size = (mask.shape[0], mask.shape[1])
    return _distinct(_cut(box, size) for box in largest)


def bounds(mask: Mask) -> Box:
    """Smallest box around a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


_Sides = tuple[float, float, float, float]


def _around(click: Point, half: float, size: tuple[int, int]) -> Box:
    row, column = click.row, click.column
    return _cut((column - half, row - half, column + half, row + half), size)


def _cut(sides: _Sides, size: tuple[int, int]) -> Box:
    height, width = size
    left, top, right, bottom = (round(side) for side in sides)
    return max(0, left), max(0, top), min(width - 1, right), min(height - 1, bottom)


def _holds(sides: _Sides, points: Sequence[Point]) -> bool:
    left, top, right, bottom = sides
    if right - left < 1 or bottom - top < 1:
        return False
    return all(left <= p.column <= right and top <= p.row <= bottom for p in points)


def _area(sides: _Sides) -> float:
    return (sides[2] - sides[0]) * (sides[3] - sides[1])


def _distinct(boxes: Iterable[Box]) -> list[Box]:
    return list(dict.fromkeys(boxes))
