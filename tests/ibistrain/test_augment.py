from __future__ import annotations

from random import Random

import numpy as np
import pytest

from ibistrain.augment import recolour, warp


def test_layers_move_with_the_picture(pictures):
    """A bright disc stays where its label is."""
    picture = pictures[0]
    for seed in range(10):
        rgb, (labels,) = warp(picture.rgb, [picture.labels], Random(seed), flip=True)
        assert rgb.shape[:2] == labels.shape
        disc = labels == 1
        if disc.sum() > 50:
            assert rgb[disc].mean() > 180
            assert rgb[labels == 0].mean() < 120


def test_without_strength_nothing_moves(pictures):
    rgb, (labels,) = warp(pictures[0].rgb, [pictures[0].labels], Random(0), False, strength=0.0)
    assert np.array_equal(labels, pictures[0].labels)
    assert np.abs(rgb.astype(int) - pictures[0].rgb).max() <= 1


def test_mirror_only_where_allowed(pictures):
    """Without permission the disc, left of the square, never comes to its right."""
    picture = pictures[0]
    for seed in range(20):
        _, (labels,) = warp(picture.rgb, [picture.labels], Random(seed), flip=False)
        if (labels == 1).sum() > 50 and (labels == 2).sum() > 50:
            disc, square = (np.nonzero(labels == value)[1].mean() for value in (1, 2))
            assert disc < square


def test_no_layers(pictures):
    rgb, layers = warp(pictures[0].rgb, [], Random(0), flip=False)
    assert rgb.ndim == 3
    assert layers == []


@pytest.mark.parametrize("change", [warp, recolour])
def test_same_seed_same_picture(pictures, change):
    def once() -> np.ndarray:
        rng = Random(7)
        if change is recolour:
            return recolour(pictures[0].rgb, rng)
        return warp(pictures[0].rgb, [], rng, flip=True)[0]

    assert np.array_equal(once(), once())


def test_recolour_keeps_shape_and_type(pictures):
    for seed in range(20):
        changed = recolour(pictures[0].rgb, Random(seed))
        assert changed.shape == pictures[0].rgb.shape
        assert changed.dtype == np.uint8
