"""Depths, deep points and parts are those that scipy finds mask by mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from ibistrain.batches.depth import connected, deep_points, depths

SIZES = st.tuples(st.integers(1, 3), st.integers(1, 17), st.integers(1, 23))
MASKS = SIZES.flatmap(lambda size: arrays.arrays(bool, size))
unhurried = settings(deadline=None)  # wall time says more of the machine


def blobs(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Masks with regions of many sizes."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 1, 5, 6, generator=generator)
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[:, 0] > 0.1


def expected_depths(masks: np.ndarray) -> np.ndarray:
    padded = [np.pad(mask, 1) for mask in masks]
    return np.stack([ndimage.distance_transform_edt(mask)[1:-1, 1:-1] for mask in padded])


@unhurried
@given(MASKS)
def test_depths_are_exact(masks: np.ndarray) -> None:
    assert np.allclose(depths(torch.from_numpy(masks)), expected_depths(masks), atol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (37, 91), (91, 37), (1, 50), (50, 1)])
def test_depths_of_large_regions_are_exact(size: tuple[int, int]) -> None:
    masks = torch.cat([blobs(6, *size), torch.ones(1, *size).bool(), torch.zeros(1, *size).bool()])
    found = depths(masks)
    assert np.allclose(found, expected_depths(masks.numpy()), atol=1e-4)
    assert not found[-1].any()
    assert found[-2].max() == (min(size) + 1) // 2


def test_no_masks_have_no_depths() -> None:
    none = torch.zeros(0, 5, 7, dtype=torch.bool)
    assert depths(none).shape == none.shape
    assert deep_points(depths(none), None, torch.Generator()).shape == (0, 2)


@unhurried
@given(MASKS, st.data())
def test_a_part_is_what_hangs_together_with_its_point(
    masks: np.ndarray, data: st.DataObject
) -> None:
    count, height, width = masks.shape
    place = st.tuples(st.integers(0, height - 1), st.integers(0, width - 1))
    points = data.draw(st.lists(place, min_size=count, max_size=count))
    found = connected(torch.from_numpy(masks), torch.tensor(points))
    for mask, point, part in zip(masks, points, found.numpy(), strict=True):
        regions, _ = ndimage.label(mask)
        assert np.array_equal(part, mask & (regions == regions[point]))


def test_a_part_that_winds_is_found_whole() -> None:
    """A serpent through the whole picture, and another beside it that it does not touch."""
    mask = torch.zeros(1, 21, 20, dtype=torch.bool)
    mask[0, ::4] = True
    mask[0, 2::4, 0] = True
    for turn, row in enumerate(range(0, 17, 4)):
        mask[0, row : row + 5, -1 if turn % 2 == 0 else 1] = True
    regions, _ = ndimage.label(mask[0].numpy())
    assert regions.max() > 1
    part = connected(mask, torch.tensor([[0, 0]]))[0].numpy()
    assert np.array_equal(part, regions == regions[0, 0])
    assert part[20].all()


@unhurried
@given(MASKS)
def test_the_deepest_point_is_the_deepest(masks: np.ndarray) -> None:
    depth = depths(torch.from_numpy(masks))
    for one, (row, column) in zip(depth, deep_points(depth, None, torch.Generator()), strict=True):
        assert one[row, column] == one.max()
        if not one.any():
            assert (row, column) == (0, 0)


@unhurried
@given(st.integers(0, 5), st.floats(0, 1))
def test_points_are_as_deep_as_is_asked(seed: int, share: float) -> None:
    depth = depths(blobs(8, 31, 45, seed))
    shares = torch.full((8,), share)
    points = deep_points(depth, shares, torch.Generator().manual_seed(seed))
    for one, (row, column) in zip(depth, points, strict=True):
        assert one[row, column] > 0
        assert one[row, column] >= share * one.max() - 1e-4


def test_points_that_are_deep_enough_are_all_drawn() -> None:
    mask = torch.zeros(1, 9, 9, dtype=torch.bool)
    mask[0, 2:7, 2:7] = True
    depth, generator = depths(mask).expand(400, -1, -1), torch.Generator().manual_seed(0)
    drawn = {tuple(p) for p in deep_points(depth, torch.full((400,), 0.6), generator).tolist()}
    assert drawn == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}
