"""Pictures in random poses."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from ibistrain.batches.gallery import Gallery
from ibistrain.batches.pose import Poses, posed, posed_layers, smooth_noise

SIZE = (100, 120)
"""Of the synthetic pictures."""


def pose(
    gallery: Gallery, poses: Poses, count: int = 24, size: tuple[int, int] = SIZE, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers, pictures (grey) and labels."""
    drawn = torch.arange(count) % len(gallery.labels)
    places = poses.map(gallery, drawn, size, torch.Generator().manual_seed(seed))
    pictures = posed(gallery.pictures[drawn], places)
    return drawn, pictures.mean(1), posed_layers(gallery.labels[drawn], places)


def middle(mask: Tensor) -> Tensor:
    """(row, column)."""
    return mask.nonzero().float().mean(0)


def test_without_strength_nothing_moves(gallery: Gallery) -> None:
    drawn, pictures, labels = pose(gallery, Poses(strength=0))
    height, width = SIZE
    assert torch.equal(labels, gallery.labels[drawn][:, :height, :width])
    wanted = gallery.pictures[drawn][:, :, :height, :width].float().mean(1)
    assert (pictures - wanted).abs().max() < 0.01


def test_without_strength_a_picture_of_another_size_shows_the_same(gallery: Gallery) -> None:
    drawn, _, labels = pose(gallery, Poses(strength=0), size=(300, 360))
    height, width = SIZE
    assert torch.equal(labels[:, 1::3, 1::3], gallery.labels[drawn][:, :height, :width])


def test_labels_move_with_the_picture(gallery: Gallery) -> None:
    """The bright disc and the dark square stay where their labels are."""
    _, pictures, labels = pose(gallery, Poses(), 40)
    moved = 0
    for picture, label in zip(pictures, labels, strict=True):
        if (label == 1).sum() > 50 and (label == 2).sum() > 50:
            assert picture[label == 1].mean() > 190
            assert picture[label == 2].mean() < 50
            moved += 1
    assert moved > 20


def test_any_integers_move_alike(gallery: Gallery) -> None:
    drawn = torch.arange(6)
    places = Poses().map(gallery, drawn, SIZE, torch.Generator().manual_seed(1))
    labels = posed_layers(gallery.labels[drawn], places)
    masks = posed_layers((gallery.labels[drawn] == 2).to(torch.uint8), places)
    assert torch.equal(masks.bool(), labels == 2)


def test_what_is_not_of_the_picture_is_empty(gallery: Gallery) -> None:
    """Reduced pictures have a margin; the neighbourhood in the square is not looked at."""
    full = dataclasses.replace(gallery, labels=torch.full_like(gallery.labels, 7))
    full.labels[:, 100:], full.labels[:, :, 120:] = 0, 0
    _, _, labels = pose(full, Poses(nearer=0, farther=0.5, shift=0), 60)
    shares = (labels == 7).float().mean((1, 2))
    assert set(labels.unique().tolist()) == {0, 7}
    assert shares.min() < 0.6
    assert shares.max() > 0.85


def test_each_picture_has_a_pose_of_its_own(gallery: Gallery) -> None:
    alone = dataclasses.replace(gallery, labels=gallery.labels[:1].expand(6, -1, -1))
    _, _, labels = pose(alone, Poses(), 6)
    assert len({tuple(label.flatten().tolist()) for label in labels}) == 6


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_mirrored_only_where_it_is_harmless(gallery: Gallery, strength: float) -> None:
    """The disc is left of the square in every picture of the corpus."""

    def share(flips: bool) -> float:
        sided = dataclasses.replace(gallery, flips=torch.full_like(gallery.flips, flips))
        _, _, labels = pose(sided, Poses(strength=strength), 60)
        right = [
            bool(middle(label == 1)[1] > middle(label == 2)[1])
            for label in labels
            if (label == 1).sum() > 50 and (label == 2).sum() > 50
        ]
        assert len(right) > 30
        return sum(right) / len(right)

    assert share(flips=False) == 0
    assert 0.3 < share(flips=True) < 0.7


def test_any_side_may_be_up(gallery: Gallery) -> None:
    """A mark in a corner comes to every corner, most often to its own or the mirrored one."""
    square = dataclasses.replace(gallery, labels=torch.zeros_like(gallery.labels))
    square.labels[:, 5:30, 5:30] = 1
    square = dataclasses.replace(square, sizes=torch.full_like(gallery.sizes, 100))

    def corners(poses: Poses) -> Tensor:
        _, _, labels = pose(square, poses, 120, (50, 50))
        found = [(middle(label == 1) > 25).long() for label in labels]
        return torch.stack([2 * row + column for row, column in found]).bincount(minlength=4)

    straight = Poses(turn=0, nearer=0, farther=0, shift=0)
    assert corners(straight).tolist() == [120, 0, 0, 0]
    anyhow = corners(dataclasses.replace(straight, any_side_up=True))
    assert anyhow.min() > 12
    assert anyhow[:2].sum() > anyhow[2:].sum()


@pytest.mark.parametrize(
    ("poses", "change"),
    [
        (Poses(turn=0, nearer=0.45, farther=0, shift=0), "larger"),
        (Poses(turn=0, nearer=0, farther=0.45, shift=0), "smaller"),
        (Poses(turn=0, nearer=0, farther=0, shift=0.3), "elsewhere"),
    ],
)
def test_each_bound_bounds_its_own(gallery: Gallery, poses: Poses, change: str) -> None:
    centred = dataclasses.replace(gallery, labels=torch.zeros_like(gallery.labels))
    centred.labels[:, 40:60, 50:70] = 1
    _, _, labels = pose(centred, poses, 60)
    area = (labels == 1).flatten(1).sum(1).float().mean() / 400
    off = torch.stack([middle(label == 1) - torch.tensor([49.5, 59.5]) for label in labels])
    assert {"larger": area > 1.2, "smaller": area < 0.8, "elsewhere": 0.9 < area < 1.1}[change]
    assert off.abs().max() < (30 if change == "elsewhere" else 9)
    assert (off.abs().max() > 12) == (change == "elsewhere")


def test_the_same_generator_gives_the_same_pose(gallery: Gallery) -> None:
    (_, one, labels), (_, other, again) = (pose(gallery, Poses(), 4, seed=3) for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(labels, again)


def test_noise_is_smooth_and_of_its_spread(generator: torch.Generator) -> None:
    noise = smooth_noise(50, 2, (40, 60), 5, 3.0, generator)
    assert noise.shape == (50, 2, 40, 60)
    assert 1.5 < float(noise.std()) < 4
    assert float(noise.diff(dim=2).abs().mean()) < 0.5
