"""The sheet of a film strip: pictures with captions, side by side, on white.

What the pictures show is `ibisagent.film`'s affair; this file scales, marks, wraps and places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ibisagent.actions import Click
from ibisagent.tools.base import RGB, Mask

SIDE = 340
"""Longest side of a picture on the sheet, and width of a column, in pixels."""

COLUMNS = 5
"""Most pictures in a row."""

MAX_LINES = 9
"""Lines of one paragraph; the rest is cut off with an ellipsis."""

GAP = 24
TEXT, HEADING, TITLE = 14, 15, 20  # font sizes; the line height is 1.4 times that
BLACK, GREY = (25, 25, 25), (110, 110, 110)
GREEN, RED, BLUE, YELLOW = (0, 150, 50), (205, 30, 30), (25, 90, 200), (255, 210, 0)
_LINE = 1.4
_MARK_RADIUS, _FINE = 10, 4  # the mark is drawn _FINE times larger and reduced, for smooth edges

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Text:
    """A paragraph in one colour and weight."""

    text: str
    colour: Colour = BLACK
    bold: bool = False
    size: int = TEXT


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture and what stands around it.

    Attributes:
        picture: Axes (row, column, channel), uint8; all pictures of a sheet have one size.
        heading: Above the picture, on the left; one line.
        note: Above the picture, on the right.
        caption: Below the picture.
        click: A place to mark, or None.
        outline: A region to draw as a yellow line, of the picture's height and width, or None.
    """

    picture: RGB
    heading: Text
    note: str = ""
    caption: tuple[Text, ...] = ()
    click: Click | None = None
    outline: Mask | None = None


def draw_sheet(title: Sequence[Text], frames: Sequence[Frame]) -> Image.Image:
    """Place frames in rows of at most `COLUMNS`, under a title.

    Args:
        title: Paragraphs over the whole width.
        frames: At least one.

    Returns:
        An RGB image; its size follows from the number of frames and the length of the captions.
    """
    rows = _rows(frames)
    width = GAP + max(len(row) for row in rows) * (SIDE + GAP)
    picture_height = _shown_size(frames[0].picture)[1]
    captions = [max(_height(frame.caption, SIDE) for frame in row) for row in rows]
    head = round(HEADING * _LINE) + 6
    top = GAP + _height(title, width - 2 * GAP) + GAP // 2
    height = top + sum(head + picture_height + 8 + caption + GAP for caption in captions)
    sheet = Image.new("RGB", (width, height), "white")
    _write(sheet, title, GAP, GAP, width - 2 * GAP)
    for row, caption in zip(rows, captions, strict=True):
        for column, frame in enumerate(row):
            _place(sheet, frame, GAP + column * (SIDE + GAP), top, head)
        top += head + picture_height + 8 + caption + GAP
    return sheet


def _rows(frames: Sequence[Frame]) -> list[Sequence[Frame]]:
    """Rows of nearly equal length: six frames are three and three, not five and one."""
    count = math.ceil(len(frames) / COLUMNS)
    length = math.ceil(len(frames) / count)
    return [frames[first : first + length] for first in range(0, len(frames), length)]


def _place(sheet: Image.Image, frame: Frame, left: int, top: int, head: int) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((left, top), frame.heading.text, frame.heading.colour, _font(HEADING, bold=True))
    draw.text((left + SIDE, top + 2), frame.note, GREY, _font(TEXT, bold=False), anchor="ra")
    picture = _shown(frame.picture, frame.outline)
    corner = left + (SIDE - picture.width) // 2, top + head
    sheet.paste(picture, corner)
    if frame.click is not None:
        _mark(sheet, frame.click, frame.picture.shape[:2], corner, picture.size)
    _write(sheet, frame.caption, left, corner[1] + picture.height + 8, SIDE)


def _shown_size(picture: RGB) -> tuple[int, int]:
    """Width and height of a picture on the sheet."""
    height, width = picture.shape[:2]
    factor = SIDE / max(height, width)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _shown(picture: RGB, outline: Mask | None) -> Image.Image:
    size = _shown_size(picture)
    shown = _scaled(Image.fromarray(picture), size)
    if outline is None or not outline.any():
        return shown
    region = np.asarray(Image.fromarray(outline).resize(size, Image.Resampling.NEAREST))
    line = ndimage.binary_dilation(region) & ~ndimage.binary_erosion(region)
    pixels = np.array(shown)
    pixels[line] = YELLOW
    return Image.fromarray(pixels)


def _scaled(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Enlarge so that pixels stay squares, without some being wider than others; or reduce."""
    times = math.ceil(size[0] / picture.width)
    large = picture.resize(
        (picture.width * times, picture.height * times), Image.Resampling.NEAREST
    )
    return large.resize(size, Image.Resampling.BOX if times > 1 else Image.Resampling.LANCZOS)


def _mark(
    sheet: Image.Image,
    click: Click,
    shape: tuple[int, ...],
    corner: tuple[int, int],
    size: tuple[int, int],
) -> None:
    """Draw a + or - in a ring around the middle of the clicked pixel.

    It is drawn on the sheet and not on the picture, so that it is whole at the border too.
    """
    row, column = click.to_pixel(shape[0], shape[1])
    mark = _mark_image(click.positive)
    x = corner[0] + (column + 0.5) * size[0] / shape[1] - mark.width / 2
    y = corner[1] + (row + 0.5) * size[1] / shape[0] - mark.height / 2
    sheet.paste(mark, (round(x), round(y)), mark)


@cache
def _mark_image(positive: bool) -> Image.Image:
    """A coloured ring with a hole for what was clicked on, and a sign beside the hole's centre."""
    radius = _MARK_RADIUS * _FINE
    side = 2 * (radius + 3 * _FINE) + 1
    middle = side // 2
    image = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(image)
    colour = (40, 230, 90) if positive else (255, 60, 60)
    for width, ring in ((7, "black"), (5, "white"), (3, colour)):
        outer = radius + width * _FINE / 2 - 1.5 * _FINE
        box = [middle - outer, middle - outer, middle + outer, middle + outer]
        draw.ellipse(box, outline=ring, width=width * _FINE)
    arm = 5 * _FINE
    for thick, paint in ((5, "black"), (2.5, colour)):
        half, reach = thick * _FINE / 2, arm + (thick - 2.5) * _FINE / 2
        draw.rectangle([middle - reach, middle - half, middle + reach, middle + half], paint)
        if positive:
            draw.rectangle([middle - half, middle - reach, middle + half, middle + reach], paint)
    small = side // _FINE
    return image.resize((small, small), Image.Resampling.LANCZOS)


def _height(texts: Sequence[Text], width: int) -> int:
    return sum(_paragraph_height(text, width) for text in texts)


def _paragraph_height(text: Text, width: int) -> int:
    return len(_wrapped(text, width)) * round(text.size * _LINE) + text.size // 3


def _write(sheet: Image.Image, texts: Sequence[Text], left: int, top: int, width: int) -> None:
    draw = ImageDraw.Draw(sheet)
    for text in texts:
        for number, line in enumerate(_wrapped(text, width)):
            place = left, top + number * round(text.size * _LINE)
            draw.text(place, line, text.colour, _font(text.size, text.bold))
        top += _paragraph_height(text, width)


def _wrapped(text: Text, width: int) -> list[str]:
    """The paragraph in lines that fit, at most `MAX_LINES`."""
    font = _font(text.size, text.bold)
    lines = [""]
    for word in text.text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        *full, rest = _broken(word, font, width)
        lines += [*full, rest] if lines[-1] else []
        lines = lines if lines[-1] else [*full, rest]
        if len(lines) > MAX_LINES:  # a text may be very long; the rest is not shown anyway
            break
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], lines[MAX_LINES - 1][:-1] + "…"]
    return lines


def _broken(word: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """A word in pieces that fit; nearly always one."""
    pieces = [""]
    for letter in word:
        if font.getlength(pieces[-1] + letter) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib; Pillow's own font has ASCII letters only."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)
