"""Pictures fit into limits, and keep their shape where they can."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibisagent.policies.picture_size import fit_size, fitted

SIDES = st.integers(1, 5000)


@given(SIDES, SIDES, st.integers(64 * 64, 2_000_000), st.integers(1, 64))
def test_both_limits_hold(height: int, width: int, max_pixels: int, min_side: int) -> None:
    rows, columns = fit_size(height, width, max_pixels, min_side)
    assert min(rows, columns) >= min_side
    assert rows * columns <= max_pixels


@given(st.integers(64, 1000), st.integers(64, 1000))
def test_what_fits_is_left_alone(height: int, width: int) -> None:
    assert fit_size(height, width, height * width, 64) == (height, width)


@given(st.integers(100, 3000), st.integers(100, 3000), st.integers(20_000, 500_000))
def test_the_shape_is_kept(height: int, width: int, max_pixels: int) -> None:
    rows, columns = fit_size(height, width, max_pixels)
    scale = min(1.0, (max_pixels / (height * width)) ** 0.5)
    assert abs(rows - height * scale) <= 1
    assert abs(columns - width * scale) <= 1


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        ((512, 512), (256 * 256, 1), (256, 256)),
        ((10, 20), (10_000, 40), (40, 80)),
        ((1, 5000), (10_000, 50), (50, 200)),
        ((1, 1), (64, 8), (8, 8)),
    ],
)
def test_sizes(size: tuple[int, int], limits: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fit_size(*size, *limits) == expected


def test_a_picture_that_fits_keeps_its_pixels() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(fitted(picture, 10_000)), picture)
    assert fitted(picture, 600).size == (30, 20)
