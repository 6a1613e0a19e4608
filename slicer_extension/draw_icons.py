"""Draws the module's icons into IBISAgent/Resources/Icons; run it again after a change here.

QT_QPA_PLATFORM=offscreen python slicer_extension/draw_icons.py
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage, QPainter, QPainterPath, QPen

FOLDER = Path(__file__).parent / "IBISAgent" / "Resources" / "Icons"
GREEN, RED, BLUE, GREY = "#1f9d3a", "#d43b2a", "#2b6cb0", "#5c6670"

Drawing = Callable[[QPainter], None]
"""Paints on a square of 100 by 100."""


def save(name: str, size: int, drawing: Drawing) -> None:
    image = QImage(size, size, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(size / 100, size / 100)
    drawing(painter)
    painter.end()
    image.save(str(FOLDER / f"{name}.png"))


def pen(colour: str, width: float) -> QPen:
    line = QPen(QColor(colour), width)
    line.setCapStyle(Qt.PenCapStyle.RoundCap)
    line.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    return line


def module(painter: QPainter) -> None:
    """A slice through a body with a mask on it, the click in it, and the ring of a look."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor("#10151c"))
    painter.drawRoundedRect(QRectF(2, 2, 96, 96), 20, 20)
    painter.setBrush(QColor("#6d7680"))
    painter.drawEllipse(QRectF(12, 22, 76, 58))
    painter.setBrush(QColor("#8d97a1"))
    painter.drawEllipse(QRectF(44, 58, 12, 14))
    painter.setBrush(QColor(GREEN))
    mask = QPainterPath(QPointF(24, 52))
    mask.cubicTo(22, 34, 40, 28, 52, 36)
    mask.cubicTo(60, 42, 48, 48, 46, 56)
    mask.cubicTo(42, 66, 26, 66, 24, 52)
    painter.drawPath(mask)
    painter.setPen(pen("#ffffff", 5))
    painter.drawLine(QPointF(37, 42), QPointF(37, 56))
    painter.drawLine(QPointF(30, 49), QPointF(44, 49))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(pen("#ffcf3f", 5))
    painter.drawEllipse(QRectF(52, 10, 34, 34))
    painter.drawLine(QPointF(81, 39), QPointF(91, 50))


def run(painter: QPainter) -> None:
    painter.setPen(pen(GREEN, 8))
    painter.setBrush(QColor(GREEN))
    triangle = QPainterPath(QPointF(28, 18))
    triangle.lineTo(80, 50)
    triangle.lineTo(28, 82)
    triangle.closeSubpath()
    painter.drawPath(triangle)


def cancel(painter: QPainter) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(RED))
    painter.drawRoundedRect(QRectF(22, 22, 56, 56), 8, 8)


def dot(colour: str, plus: bool) -> Drawing:
    def draw(painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colour))
        painter.drawEllipse(QRectF(12, 12, 76, 76))
        painter.setPen(pen("#ffffff", 11))
        painter.drawLine(QPointF(32, 50), QPointF(68, 50))
        if plus:
            painter.drawLine(QPointF(50, 32), QPointF(50, 68))

    return draw


def undo(painter: QPainter) -> None:
    painter.setPen(pen(GREY, 11))
    painter.drawArc(QRectF(24, 32, 54, 48), -90 * 16, 180 * 16)
    painter.drawLine(QPointF(50, 32), QPointF(24, 32))
    painter.drawLine(QPointF(38, 16), QPointF(22, 32))
    painter.drawLine(QPointF(38, 48), QPointF(22, 32))


def go_on(painter: QPainter) -> None:
    painter.setPen(pen(BLUE, 11))
    for left in (22, 50):
        painter.drawLine(QPointF(left, 24), QPointF(left + 26, 50))
        painter.drawLine(QPointF(left + 26, 50), QPointF(left, 76))


def accept(painter: QPainter) -> None:
    painter.setPen(pen(GREEN, 14))
    painter.drawLine(QPointF(18, 54), QPointF(40, 76))
    painter.drawLine(QPointF(40, 76), QPointF(82, 26))


def main() -> None:
    application = QGuiApplication([])
    FOLDER.mkdir(parents=True, exist_ok=True)
    save("IBISAgent", 128, module)
    for name, drawing in {
        "Run": run,
        "Cancel": cancel,
        "Positive": dot(GREEN, plus=True),
        "Negative": dot(RED, plus=False),
        "Undo": undo,
        "Continue": go_on,
        "Accept": accept,
    }.items():
        save(name, 48, drawing)
    application.quit()


if __name__ == "__main__":
    main()
