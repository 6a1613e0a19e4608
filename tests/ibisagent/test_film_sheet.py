"""The sheet: pictures at their scale, marks that are whole, words that fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibisagent.actions import Click
from ibisagent.film_sheet import GAP, MAX_LINES, SIDE, YELLOW, Frame, Text, draw_sheet

GREY = 90


def picture(height=SIDE, width=SIDE):
    return np.full((height, width, 3), GREY, dtype=np.uint8)


def frame(array=None, **fields):
    return Frame(picture() if array is None else array, Text("Turn 1"), **fields)


def pixels(*frames, title=()):
    return np.asarray(draw_sheet([Text(text) for text in title], frames)).astype(int)


def corner(sheet):
    """Row and column of the first picture's upper left pixel, on a sheet without marks."""
    rows, columns = np.nonzero((sheet == GREY).all(axis=2)[:, : GAP + SIDE])
    return rows.min(), columns.min()


def coloured(sheet):
    """Pixels that are clearly green and clearly red."""
    red, green = sheet[..., 0], sheet[..., 1]
    return green - red > 80, red - green > 80


def test_picture_is_shown_as_it_is():
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    row, column = corner(pixels(frame()))

    sheet = pixels(frame(noise))

    np.testing.assert_array_equal(sheet[row : row + SIDE, column : column + SIDE], noise)


def test_small_picture_is_enlarged_in_squares():
    board = picture(2, 2)
    board[0, 0] = board[1, 1] = 200
    sheet = pixels(frame(board))

    shown = np.isin(sheet, [GREY, 200]).all(axis=2)[:, GAP : GAP + SIDE].all(axis=1)
    assert shown.sum() == SIDE
    row = int(np.flatnonzero(shown)[0])
    half = SIDE // 2
    assert (sheet[row : row + half, GAP : GAP + half] == 200).all()
    assert (sheet[row : row + half, GAP + half : GAP + SIDE] == GREY).all()


@pytest.mark.parametrize("positive", [True, False])
def test_click_is_green_or_red_and_centred(positive):
    row, column = corner(pixels(frame()))

    green, red = coloured(pixels(frame(click=Click(0.25, 0.75, positive))))

    wanted, other = (green, red) if positive else (red, green)
    assert not other.any()
    centre = [axis.mean() for axis in np.nonzero(wanted)]
    assert centre == pytest.approx([row + 0.75 * SIDE, column + 0.25 * SIDE], abs=1.5)


@pytest.mark.parametrize("shape", [(SIDE, SIDE), (1, 1), (3, 2), (1, 400), (900, 7)])
@pytest.mark.parametrize("place", [(0, 0), (1, 1), (0, 1), (1, 0)])
def test_mark_is_whole_at_the_border_and_on_tiny_pictures(shape, place):
    whole, _ = coloured(pixels(frame(click=Click(0.5, 0.5))))

    mark, _ = coloured(pixels(frame(picture(*shape), click=Click(*place))))

    assert mark.sum() == whole.sum()


def test_mark_stands_out_on_any_grey():
    for grey in (0, 128, 255):
        array = np.full((SIDE, SIDE, 3), grey, np.uint8)
        sheet = pixels(frame(array, click=Click(0.5, 0.5)))[100:-20, GAP + 20 : GAP + SIDE - 20]
        assert sheet.max() - sheet.min() > 120


def test_outline_follows_the_border_of_the_region():
    region = np.zeros((SIDE, SIDE), bool)
    region[100:200, 50:150] = True
    row, column = corner(pixels(frame()))

    sheet = pixels(frame(outline=region))[row : row + SIDE, column : column + SIDE]

    line = (sheet == YELLOW).all(axis=2)
    assert line[100:200, 50].all()
    assert line[199, 50:150].all()
    assert not line[105:195, 55:145].any()
    assert not line[:98].any()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 700),
    st.integers(1, 700),
    st.text(max_size=300),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_anything_can_be_drawn_and_stays_in_its_column(height, width, text, x, y):
    caption = (Text(text), Text("W" * 200))
    sheet = pixels(frame(picture(height, width), click=Click(x, y), caption=caption), title=[text])

    assert sheet.shape[1] == SIDE + 2 * GAP
    assert (sheet[:, -4:] == 255).all()
    assert (sheet[-4:] == 255).all()


def test_long_text_is_cut_and_the_sheet_is_no_higher():
    long, longer = (pixels(frame(caption=(Text("word " * n),))) for n in (2000, 4000))
    short = pixels(frame(caption=(Text(" ".join(["word " * 8] * MAX_LINES)),)))

    assert long.shape == longer.shape
    assert long.shape[0] >= short.shape[0]
