"""Clicks as discs and as points."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibisagent.tools.click_consistency import Point
from ibisagent.tools.click_prompt import DRAWN, RADIUS, blank, points_of, with_clicks
from ibisagent.tools.square_frame import CERTAIN

SIDE = 32
places = st.integers(0, SIDE - 1)
clicks = st.builds(Point, places, places, st.booleans())


@given(st.lists(clicks, min_size=1, max_size=4))
def test_a_click_is_drawn_around_its_pixel_and_nowhere_else(said: list[Point]) -> None:
    before = blank(SIDE)
    drawn = with_clicks(before, said)
    assert (before == -CERTAIN).all()  # the argument is left alone
    last = said[-1]
    assert drawn[last.pixel] == (DRAWN if last.positive else -DRAWN)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    near = np.zeros((SIDE, SIDE), bool)
    for click in said:
        near |= np.hypot(rows - click.row, columns - click.column) <= RADIUS
    assert (np.abs(drawn[near]) == DRAWN).all()
    assert (drawn[~near] == -CERTAIN).all()


def test_a_mask_is_no_surer_than_a_click() -> None:
    drawn = with_clicks(np.full((SIDE, SIDE), 90, np.float32), [Point(3, 3, False)])
    assert drawn.max() == CERTAIN
    assert drawn.min() == -DRAWN


def test_points_are_x_before_y() -> None:
    places, signs = points_of([[Point(2, 9, True), Point(4, 1, False)]], torch.device("cpu"))
    assert places.tolist() == [[[9, 2], [1, 4]]]
    assert signs.tolist() == [[1, 0]]
