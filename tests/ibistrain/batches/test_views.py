"""Batches of posed pictures."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import AutoProcessor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from ibistrain.batches.contrast import Contrasts
from ibistrain.batches.gallery import Gallery
from ibistrain.batches.pose import Poses, posed_layers
from ibistrain.batches.views import ASPECTS, View, Views, grid_of
from ibistrain.labelled_picture import LabelledPicture

TOKEN = 16
"""Pixels of a token's side in the fixture's checkpoint, and the bounds on a picture's tokens."""
LEAST, MOST = 4 / 5 * 36, 36


@pytest.fixture(scope="module")
def processor(start: Path):
    return AutoProcessor.from_pretrained(start).image_processor


@pytest.fixture(scope="module")
def shapes(pictures: list[LabelledPicture]) -> Gallery:
    """Pictures of 100 x 120, 100 x 40 and 30 x 120, and one that shows nothing."""

    def cut(number: int, height: int, width: int, value: int) -> LabelledPicture:
        labels = np.zeros((height, width), np.uint8)
        labels[height // 4 : height // 2, width // 4 : width // 2] = value
        rgb = pictures[number].rgb[:height, :width]
        return dataclasses.replace(pictures[number], rgb=rgb, labels=labels)

    every = [pictures[0], cut(1, 100, 40, 1), cut(2, 30, 120, 2), cut(3, 100, 40, 0)]
    return Gallery.of(every, {"blobs": 1.0})


def views(gallery: Gallery, processor, batch: int = 3, seed: int = 0, strength: float = 1) -> Views:
    poses, contrasts = Poses(strength=strength), Contrasts(strength=strength)
    return Views(gallery, processor, batch, poses, contrasts, seed)


def key(view: View) -> tuple:
    return (view.grid, tuple(view.drawn.tolist()), tuple(view.pictures.flatten().tolist()))


def test_a_view_follows_from_its_number_and_the_seed(gallery: Gallery, processor) -> None:
    made, again = (views(gallery, processor) for _ in range(2))
    made.draw(1)  # what was drawn before does not matter
    one, other = made.draw(7), again.draw(7)
    assert key(one) == key(other)
    assert torch.equal(one.labels, other.labels)
    assert torch.equal(one.places, other.places)
    assert one.words.random() == other.words.random()
    lots = [torch.rand(1, generator=view.generator).item() for view in (one, other)]
    assert lots[0] == lots[1]
    assert key(made.draw(8)) != key(one)
    assert key(views(gallery, processor, seed=1).draw(7)) != key(one)


def test_views_are_as_the_processor_would_hand_them_over(gallery: Gallery, processor) -> None:
    made, grids = views(gallery, processor), set()
    for number in range(20):
        view = made.draw(number)
        height, width = (TOKEN * side for side in view.grid)
        assert view.pictures.shape == (3, 3, height, width)
        assert view.labels.shape == (3, height, width)
        assert view.labels.dtype == torch.uint8
        assert view.places.shape == (3, height, width, 2)
        assert view.pictures.min() >= 0
        assert view.pictures.max() <= 255
        grids.add(view.grid)
        if math.prod(view.grid) >= LEAST:
            image = view.pictures[0].permute(1, 2, 0).numpy().astype(np.uint8)
            grid = processor([image], return_tensors="pt")["image_grid_thw"][0]
            assert tuple(grid[1:].tolist()) == view.grid
    assert len(grids) > 1


def test_labels_are_at_their_places(gallery: Gallery, processor) -> None:
    view = views(gallery, processor).draw(3)
    assert torch.equal(view.labels, posed_layers(gallery.labels[view.drawn], view.places))
    assert view.labels.any()


def test_pictures_of_like_shape_are_drawn_together(shapes: Gallery, processor) -> None:
    made, seen = views(shapes, processor), set()
    for number in range(40):
        view = made.draw(number)
        kinds = set(view.drawn.tolist())
        assert len(kinds) == 1
        seen |= kinds
        rows, columns = view.grid
        if kinds == {1}:
            assert rows > 1.5 * columns
        elif kinds == {2}:
            assert columns > 1.5 * rows
    assert seen == {0, 1, 2}  # what shows nothing is never drawn


def test_shapes_are_drawn_as_often_as_their_pictures(shapes: Gallery, processor) -> None:
    common = dataclasses.replace(shapes, chances=torch.tensor([0.1, 0.0, 0.9, 0.0]))
    made = views(common, processor, batch=1, strength=0)
    drawn = [int(made.draw(number).drawn) for number in range(120)]
    assert set(drawn) == {0, 2}
    assert 0.82 < drawn.count(2) / len(drawn) < 0.97


def test_half_of_the_views_are_as_large_as_a_picture_may_be(gallery: Gallery) -> None:
    sizes = {"shortest_edge": 0, "longest_edge": 16 * 400}
    processor = SimpleNamespace(patch_size=2, merge_size=2, size=sizes)
    made = views(gallery, processor, batch=1, strength=0)
    grids = [made.draw(number).grid for number in range(80)]
    assert max(grids) == max(grids, key=math.prod)
    assert 0.35 < grids.count(max(grids)) / len(grids) < 0.65
    assert min(math.prod(grid) for grid in grids) < 100


@settings(deadline=None)
@given(st.integers(10, 3000), st.integers(10, 3000), st.integers(16, 500))
def test_grids_are_those_of_the_processor_for_large_pictures(
    height: int, width: int, tokens: int
) -> None:
    assume(height * width > tokens and max(height, width) < 4 * min(height, width))
    expected = smart_resize(height, width, factor=1, min_pixels=1, max_pixels=tokens)
    rows, columns = grid_of(width / height, tokens)
    assert rows * columns <= tokens + 1e-3
    exact = math.sqrt(tokens * height / width), math.sqrt(tokens * width / height)
    whole = any(abs(side - round(side)) < 1e-4 for side in exact)
    assert (rows, columns) == expected or whole


def test_even_one_token_is_a_picture() -> None:
    assert {min(grid_of(aspect, 1)) for aspect in ASPECTS} == {1}


@pytest.mark.parametrize(("height", "width"), [(12, 70), (70, 12), (20, 60), (50, 31)])
def test_long_pictures_keep_their_shape(
    gallery: Gallery, processor, height: int, width: int
) -> None:
    sizes = torch.tensor([height, width]).expand_as(gallery.sizes)
    rows, columns = views(dataclasses.replace(gallery, sizes=sizes), processor).draw(0).grid
    assert columns + 1 > 0.9 * rows * width / height
    assert rows + 1 > 0.9 * columns * height / width
