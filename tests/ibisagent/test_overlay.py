"""The overlay, to the last grey value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ibisagent.overlay import overlay

unhurried = settings(deadline=None)  # wall time says more of the machine than of the code

GREEN = (34, 139, 34)


def test_published_values() -> None:
    rgb = np.array([[[0, 0, 0], [255, 255, 255], [100, 100, 100]]], dtype=np.uint8)
    mask = np.array([[True, True, False]])
    picture = overlay(rgb, mask, GREEN, 0.4)
    # 0.6 * grey + 0.4 * green, rounded
    assert picture.tolist() == [[[14, 56, 14], [167, 209, 167], [100, 100, 100]]]
    assert picture.dtype == np.uint8


def test_full_alpha_is_the_colour_itself() -> None:
    rgb = np.full((2, 2, 3), 77, dtype=np.uint8)
    picture = overlay(rgb, np.ones((2, 2), dtype=bool), (0, 255, 3), 1.0)
    assert (picture == (0, 255, 3)).all()


def test_an_empty_mask_gives_an_equal_copy() -> None:
    rgb = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    picture = overlay(rgb, np.zeros((4, 4), dtype=bool), GREEN, 0.4)
    assert np.array_equal(picture, rgb)
    assert not np.shares_memory(picture, rgb)


@unhurried
@given(
    arrays(np.uint8, (3, 4, 3)),
    arrays(np.bool_, (3, 4)),
    st.tuples(*[st.integers(0, 255)] * 3),
    st.floats(0.01, 1.0),
)
def test_each_value_lies_between_picture_and_colour(
    rgb: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int], alpha: float
) -> None:
    before = rgb.copy()
    picture = overlay(rgb, mask, colour, alpha)
    assert np.array_equal(rgb, before)
    assert np.array_equal(picture[~mask], rgb[~mask])
    expected = (1 - alpha) * rgb[mask].astype(float) + alpha * np.array(colour)
    assert np.abs(picture[mask] - expected).max(initial=0) <= 0.501


def test_it_takes_read_only_and_flipped_pictures() -> None:
    rgb = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)[::-1]
    rgb.setflags(write=False)
    mask = np.eye(4, dtype=bool)
    assert np.array_equal(overlay(rgb, mask, GREEN, 0.4), overlay(rgb.copy(), mask, GREEN, 0.4))


def test_a_mask_of_another_size_is_an_error() -> None:
    with pytest.raises(IndexError):
        overlay(np.zeros((4, 4, 3), np.uint8), np.zeros((5, 4), dtype=bool), GREEN, 0.4)
