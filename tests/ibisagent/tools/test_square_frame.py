"""The way into the square and back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ibisagent.actions import Click
from ibisagent.tools.square_frame import CERTAIN, SquareFrame

LENGTHS = st.integers(1, 3000)


@given(LENGTHS, LENGTHS, st.sampled_from([64, 256, 1024]))
def test_the_longest_side_fills_the_square(height: int, width: int, side: int) -> None:
    inner = SquareFrame((height, width), side).inner
    assert max(inner) == side
    assert min(inner) >= 1
    longest = max(height, width)
    assert abs(inner[0] - height * side / longest) <= 1
    assert abs(inner[1] - width * side / longest) <= 1


@given(LENGTHS, LENGTHS, st.floats(0, 1), st.floats(0, 1))
def test_a_click_falls_into_the_inner_part(height: int, width: int, x: float, y: float) -> None:
    frame = SquareFrame((height, width), 256)
    row, column = frame.pixel(Click(x, y))
    assert 0 <= row < frame.inner[0]
    assert 0 <= column < frame.inner[1]


@settings(deadline=None)  # resizing takes as long as the machine is busy
@given(st.integers(1, 400), st.integers(1, 400))
def test_logits_come_back_in_the_size_of_the_image(height: int, width: int) -> None:
    frame = SquareFrame((height, width), 256)
    logits = frame.logits_of(np.ones((height, width), dtype=bool))
    assert logits.shape == frame.inner
    full = frame.to_image(logits)
    assert full.shape == (height, width)
    np.testing.assert_allclose(full, CERTAIN, rtol=1e-5)


def test_a_mask_survives_the_way_there_and_back() -> None:
    mask = np.zeros((700, 513), dtype=bool)
    mask[100:400, 50:300] = True
    frame = SquareFrame((700, 513), 256)
    back = frame.to_image(frame.logits_of(mask)) > 0
    assert (back & mask).sum() / (back | mask).sum() > 0.98
