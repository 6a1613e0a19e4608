"""What is asked for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from ibisagent.tools.litemedsam_net import SIDE
from ibistrain.batches.gallery import Gallery
from ibistrain.clicks import targets
from ibistrain.clicks.squares import Squares
from ibistrain.clicks.targets import Targets, draw_targets
from ibistrain.labelled_picture import LabelledPicture

LARGE, SMALL, SECOND, PART, REGION, OTHER = 900, 400, 625, 256, 1600, 2500
"""Pixels of: two islands of target 1, target 2, an unnamed label, and two regions."""


def square(top: int, left: int, area: int) -> Tensor:
    side = int(area**0.5)
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[top : top + side, left : left + side] = True
    return mask


@pytest.fixture(scope="module")
def atlas() -> Gallery:
    """Two pictures that answer for "one" and "two", whose label 7 has no name."""
    labels = np.ones((8, 8), np.uint8)
    rgb = np.zeros((8, 8, 3), np.uint8)
    ids = {"one": (1,), "two": (2,), "absent": (3,)}
    pictures = [LabelledPicture("s", str(n), str(n), rgb, labels, ids, False) for n in range(2)]
    return Gallery.of(pictures, {"s": 1.0})


def squares(labelled: bool = True, regions: bool = True) -> Squares:
    labels = torch.zeros(2, SIDE, SIDE, dtype=torch.uint8)
    found = torch.zeros_like(labels)
    if labelled:
        labels[0][square(20, 20, LARGE) | square(100, 100, SMALL)] = 1
        labels[0][square(150, 40, SECOND)] = 2
        labels[0][square(200, 10, PART)] = 7
    if regions:
        found[0][square(200, 200, REGION)] |= 1 << 2
        found[0][square(190, 190, OTHER)] |= 1 << 5
        found[0][square(1, 1, 4)] |= 1 << 6  # too small
    inside = torch.ones(2, SIDE, SIDE, dtype=torch.bool)
    return Squares(torch.zeros(2, 3, SIDE, SIDE), labels, found, inside)


def draw(atlas: Gallery, shown: Squares, each: int, generator: torch.Generator) -> Targets:
    return draw_targets(atlas, torch.arange(2), shown, each, generator)


def areas(drawn: Targets) -> list[int]:
    return [int(area) for area in drawn.masks.sum((1, 2))]


def test_targets_are_labels_their_unions_parts_and_regions(
    atlas: Gallery, generator: torch.Generator
) -> None:
    drawn = draw(atlas, squares(), 150, generator)
    assert drawn.valid.tolist() == [True] * 150 + [False] * 150  # the second picture is empty
    both = LARGE + SMALL
    singly = {both, SECOND, PART, LARGE, SMALL, both + SECOND}
    assert set(areas(drawn)[:150]) == singly | {REGION, OTHER}


def test_targets_of_a_picture_differ_as_long_as_there_are_enough(
    atlas: Gallery, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for share in ("UNLABELLED", "JOINED", "SINGLE", "PARTS"):
        monkeypatch.setattr(targets, share, 0.0)
    for _ in range(5):
        found = areas(draw(atlas, squares(), 4, generator))[:4]
        assert sorted(found) == sorted([LARGE + SMALL, SECOND] * 2)


def test_regions_take_the_place_of_labels_and_labels_that_of_regions(
    atlas: Gallery, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlabelled = draw(atlas, squares(labelled=False), 8, generator)
    assert set(areas(unlabelled)[:8]) == {REGION, OTHER}
    monkeypatch.setattr(targets, "UNLABELLED", 1.0)
    labelled = draw(atlas, squares(regions=False), 8, generator)
    assert labelled.valid.tolist() == [True] * 8 + [False] * 8
    assert not {REGION, OTHER} & set(areas(labelled))


def test_large_regions_are_backgrounds(atlas: Gallery, generator: torch.Generator) -> None:
    shown = squares(labelled=False, regions=False)
    shown.regions[:, :200] = 1
    assert not draw(atlas, shown, 2, generator).valid.any()


def test_real_pictures_give_their_own_targets(gallery: Gallery, generator: torch.Generator) -> None:
    labels = gallery.labels[:, :SIDE, :SIDE]
    regions = torch.zeros_like(labels)
    shown = dataclasses.replace(
        squares(), labels=labels, regions=regions, inside=torch.ones_like(labels, dtype=torch.bool)
    )
    drawn = draw_targets(gallery, torch.arange(6), shown, 3, generator)
    assert drawn.valid.all()
    for number, mask in enumerate(drawn.masks):
        assert labels[number // 3][mask].all()
