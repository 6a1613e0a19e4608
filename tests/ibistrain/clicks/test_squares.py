"""Pictures in the tool's square."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet
from ibisagent.tools.square_frame import SquareFrame
from ibistrain.batches.contrast import Contrasts
from ibistrain.batches.gallery import Gallery
from ibistrain.batches.pose import Poses
from ibistrain.clicks import squares
from ibistrain.clicks.squares import (
    Squares,
    draw_squares,
    inner_sizes,
    inside_of,
    plain_squares,
)
from ibistrain.labelled_picture import LabelledPicture

SIZES = st.tuples(st.integers(1, 400), st.integers(1, 400))


def draw(gallery: Gallery, count: int, generator: torch.Generator) -> tuple[Tensor, Squares]:
    drawn = torch.arange(count) % len(gallery.labels)
    return drawn, draw_squares(gallery, gallery.labels, drawn, generator)


@given(SIZES)
def test_pictures_fill_the_square_as_in_use(size: tuple[int, int]) -> None:
    inner = inner_sizes(torch.tensor([size]))
    assert tuple(inner[0].tolist()) == SquareFrame(size, SIDE).inner
    assert inside_of(inner).sum() == inner.prod()


def test_a_picture_as_it_is_looks_as_in_use(
    gallery: Gallery, pictures: list[LabelledPicture], net: LiteMedSAMNet
) -> None:
    images, inner = plain_squares(gallery, torch.tensor([2]))
    expected = net._square(pictures[2].rgb)
    assert tuple(inner[0].tolist()) == SquareFrame.of(pictures[2].rgb, SIDE).inner
    assert (images - expected).abs().mean() < 0.01


def test_the_padding_is_empty(gallery: Gallery, generator: torch.Generator) -> None:
    _, drawn = draw(gallery, 12, generator)
    outside = ~drawn.inside
    assert 0.1 < outside.float().mean() < 0.3  # pictures of 100 x 120
    assert not drawn.labels[outside].any()
    assert not drawn.regions[outside].any()
    assert not drawn.images.amax(1)[outside].any()


def test_each_picture_reaches_from_0_to_1(gallery: Gallery, generator: torch.Generator) -> None:
    _, drawn = draw(gallery, 12, generator)
    for image, inside in zip(drawn.images, drawn.inside, strict=True):
        assert image[:, inside].min() == 0
        assert image[:, inside].max() == pytest.approx(1)


def test_labels_and_regions_move_with_the_picture(
    gallery: Gallery, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(squares, "CONTRASTS", Contrasts(strength=0))
    _, drawn = draw(gallery, 24, generator)
    assert torch.equal(drawn.regions, drawn.labels)
    for image, labels in zip(drawn.images.mean(1), drawn.labels, strict=True):
        disc, square = image[labels == 1], image[labels == 2]
        if min(len(disc), len(square)) > 500:
            assert disc.mean() > square.mean() + 0.5  # bright disc, dark square


def test_any_side_may_be_up(
    gallery: Gallery, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pose and contrast, a square is one of the eight pictures that fit into its frame."""
    monkeypatch.setattr(squares, "CONTRASTS", Contrasts(strength=0))
    monkeypatch.setattr(squares, "POSES", Poses(strength=0))
    monkeypatch.setattr(squares, "TURN", 0.0)
    corner = dataclasses.replace(gallery, labels=torch.zeros_like(gallery.labels))
    corner.labels[:, :10, :30] = 1  # broad, in the upper left corner of 100 x 120
    found = draw_squares(corner, corner.labels, torch.zeros(60, dtype=torch.int64), generator)
    seen = set()
    for labels, inside in zip(found.labels, found.inside, strict=True):
        height, width = int(inside.any(1).sum()), int(inside.any(0).sum())
        rows, columns = np.nonzero(labels.numpy())
        size = (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
        assert max(height, width) == SIDE
        assert (size[0] > size[1]) == (height > width)
        assert sorted(size) == pytest.approx([21, 64], abs=1)
        seen.add((height > width, bool(rows.min() == 0), bool(columns.min() == 0)))
    assert len(seen) == 8


def test_the_same_generator_gives_the_same_squares(gallery: Gallery) -> None:
    one, other = (draw(gallery, 3, torch.Generator().manual_seed(5))[1] for _ in range(2))
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.labels, other.labels)
