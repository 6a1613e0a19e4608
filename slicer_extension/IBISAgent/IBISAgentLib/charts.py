"""Two small pictures of a training: its curve, and the figures before and after."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import qt

from .training import Point

WIDTH, HEIGHT = 400, 130
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 20, 22
_BEFORE, _AFTER, _LINE, _GRID = "#9aa7b4", "#1b7a2b", "#1f5fa8", "#c8ccd0"

SHOWN = {
    "dice": "Dice",
    "hit": "first click hits",
    "turns": "turns",
    "stops": "ends by itself",
    "absent": "absent recognised",
}
"""Figures that the before/after picture shows, in this order, where the server gives them, and
what they are called. All but the turns are shares of 1."""
_BARS = 136
"""Left end of the bars."""


def curve(points: Sequence[Point], colour: qt.QColor, width: int = WIDTH) -> qt.QPixmap | None:
    """Loss or reward over the steps of the last stage that logged any; None: nothing to draw.

    Args:
        points: In order.
        colour: Of text.
        width: Of the picture in pixels.
    """
    stage = next((point.stage for point in reversed(points) if point.values), None)
    of_stage = [point for point in points if point.stage == stage]
    name = next(
        (n for n in ("reward", "loss") if any(n in point.values for point in of_stage)), None
    )
    line = [(p.step, p.values[name]) for p in of_stage if name in p.values] if name else []
    if len(line) < 2:
        return None
    low, high = min(value for _, value in line), max(value for _, value in line)
    span = (high - low) or 1.0
    first, last = line[0][0], line[-1][0]
    picture, painter = _canvas(width, HEIGHT, colour)
    box = (_LEFT, _TOP, width - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM)
    _frame(painter, box, f"{name} ({stage})", low, high, first, last)
    painter.setPen(_pen(_LINE, 2))
    places = [
        (
            box[0] + box[2] * (step - first) / ((last - first) or 1),
            box[1] + box[3] * (1 - (value - low) / span),
        )
        for step, value in line
    ]
    for (x0, y0), (x1, y1) in pairwise(places):
        painter.drawLine(int(x0), int(y0), int(x1), int(y1))
    painter.end()
    return picture


def comparison(
    before: dict[str, float], after: dict[str, float], colour: qt.QColor, width: int = WIDTH
) -> qt.QPixmap | None:
    """Bars of the figures before and after a training; None: nothing to compare."""
    names = [name for name in SHOWN if name in before and name in after]
    if not names:
        return None
    row = 36
    picture, painter = _canvas(width, 24 + row * len(names), colour)
    painter.drawText(4, 15, "before / after, on studies held back")
    for number, name in enumerate(names):
        top = 26 + row * number
        painter.setPen(colour)
        painter.drawText(4, top + 18, SHOWN[name])
        largest = max(before[name], after[name], 1e-9 if name == "turns" else 1.0)
        for offset, value, shade in ((0, before[name], _BEFORE), (14, after[name], _AFTER)):
            length = int((width - _BARS - 60) * max(value, 0.0) / largest)
            painter.fillRect(_BARS, top + offset, max(length, 1), 11, qt.QColor(shade))
            painter.drawText(_BARS + 6 + length, top + offset + 10, f"{value:.2f}")
    painter.end()
    return picture


def _canvas(width: int, height: int, colour: qt.QColor) -> tuple[qt.QPixmap, qt.QPainter]:
    picture = qt.QPixmap(width, height)
    picture.fill(qt.QColor(0, 0, 0, 0))
    painter = qt.QPainter(picture)
    painter.setPen(colour)
    return picture, painter


def _frame(
    painter: qt.QPainter,
    box: tuple[int, int, int, int],
    title: str,
    low: float,
    high: float,
    first: int,
    last: int,
) -> None:
    left, top, width, height = box
    painter.drawText(left, top - 6, title)
    painter.drawText(2, top + 8, f"{high:.3g}")
    painter.drawText(2, top + height, f"{low:.3g}")
    painter.drawText(left, top + height + 16, f"step {first}")
    painter.drawText(left + width - 44, top + height + 16, str(last))
    painter.setPen(_pen(_GRID, 1))
    painter.drawRect(left, top, width, height)


def _pen(colour: str, width: int) -> qt.QPen:
    pen = qt.QPen(qt.QColor(colour))
    pen.setWidth(width)
    return pen
