"""Candidate boxes for a first click, for models that understand boxes better than points.

Boxes live in the model's square: (left, top, right, bottom), whole pixels, both ends included.
"""

from __future__ import annotations

from collections.abc import Iterable

from ibisagent.tools.click_consistency import Point
from ibisagent.tools.litemedsam_net import Box

FIRST_HALF_SIZES = (6, 8, 11, 15, 20, 26, 34, 45, 60, 78)
"""Half-sizes of the squares tried around a first click, pixels of 256. They grow by a third, so
that one lies within a sixth of any target of 2-60 % of the image's length."""


def first_boxes(click: Point, size: tuple[int, int]) -> list[Box]:
    """Boxes for a target of unknown size in whose middle somebody clicked.

    Args:
        click: In the image.
        size: (height, width) of the image in the square.
    """
    return _distinct(_around(click, half, size) for half in FIRST_HALF_SIZES)


_Sides = tuple[float, float, float, float]


def _around(click: Point, half: float, size: tuple[int, int]) -> Box:
    row, column = click.row, click.column
    return _cut((column - half, row - half, column + half, row + half), size)


def _cut(sides: _Sides, size: tuple[int, int]) -> Box:
    height, width = size
    left, top, right, bottom = (round(side) for side in sides)
    return max(0, left), max(0, top), min(width - 1, right), min(height - 1, bottom)


def _distinct(boxes: Iterable[Box]) -> list[Box]:
    return list(dict.fromkeys(boxes))
