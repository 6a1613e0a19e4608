"""Pictures in other contrasts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ibistrain.batches.contrast import MANY_LABELS, Contrasts


def sheets(count: int = 16, labels: int = 2) -> tuple[Tensor, Tensor]:
    """Grey pictures of stripes, the brighter the higher the label."""
    stripes = torch.arange(48) * labels // 48
    flat = stripes.expand(count, 32, -1).to(torch.uint8)
    texture = torch.arange(32)[None, :, None] % 4
    grey = 40 + 160.0 * flat / max(1, labels - 1) + texture
    return grey[:, None].expand(-1, 3, -1, -1), flat


def change(contrasts: Contrasts, pictures: Tensor, labels: Tensor, seed: int = 0) -> Tensor:
    return contrasts.change(pictures, labels, torch.Generator().manual_seed(seed))


def means(pictures: Tensor, labels: Tensor) -> Tensor:
    """Brightness of each label, axes (picture, label)."""
    grey = pictures.mean(1)
    every = [
        torch.stack([one[flat == number].mean() for number in flat.unique()])
        for one, flat in zip(grey, labels, strict=True)
    ]
    return torch.stack(every)


def test_without_strength_nothing_changes() -> None:
    pictures, labels = sheets(labels=8)
    assert torch.equal(change(Contrasts(strength=0), pictures, labels), pictures)


@pytest.mark.parametrize("strength", [0.5, 1.0, 3.0])
def test_pictures_stay_pictures(strength: float) -> None:
    pictures, labels = sheets(labels=8)
    changed = change(Contrasts(strength=strength), pictures, labels)
    assert changed.shape == pictures.shape
    assert changed.dtype == torch.float32
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert (changed - pictures).abs().mean((1, 2, 3)).min() > 1


def test_each_picture_has_a_contrast_of_its_own() -> None:
    pictures, labels = sheets()
    changed = means(change(Contrasts(), pictures, labels), labels)
    assert len({round(float(value), 3) for value in changed[:, 0]}) == len(changed)


def test_stronger_changes_change_more() -> None:
    pictures, labels = sheets(64)
    weak, strong = (
        (change(Contrasts(strength, inverted=0, painted=0), pictures, labels) - pictures).abs()
        for strength in (0.2, 1.0)
    )
    assert 3 * weak.mean() < strong.mean()


def test_some_pictures_become_their_negative() -> None:
    pictures, labels = sheets(200)

    def share(inverted: float) -> float:
        dark, bright = means(change(Contrasts(0.6, inverted, 0), pictures, labels), labels).T
        return float((dark > bright).float().mean())

    assert share(0.0) == 0
    assert share(1.0) == pytest.approx(0.6, abs=0.12)  # the strength scales that too


def test_only_pictures_with_many_labels_are_painted() -> None:
    """Painted, labels have any order of brightness."""

    def unordered(labels: int) -> float:
        pictures, flat = sheets(60, labels)
        changed = means(change(Contrasts(1.0, 0, 1.0, 0), pictures, flat), flat)
        return float((changed.diff(dim=1) < -8).any(1).float().mean())

    assert unordered(MANY_LABELS) == 0
    assert unordered(MANY_LABELS + 1) > 0.9


def test_painted_pictures_keep_part_of_their_texture() -> None:
    pictures, labels = sheets(40, MANY_LABELS + 1)
    shift = torch.arange(32)[:, None] % 2 * 40.0
    plain, rough = (
        change(Contrasts(1.0, 0, 1.0, 0), pictures + extra, labels).mean(1) for extra in (0, shift)
    )
    difference = (rough - plain).diff(dim=1).abs().mean((1, 2))
    assert difference.median() > 5


def test_grey_pictures_stay_grey_and_some_in_colour_lose_it() -> None:
    pictures, labels = sheets(100)
    assert change(Contrasts(), pictures, labels).diff(dim=1).abs().max() < 1e-3
    coloured = pictures * torch.tensor([1.0, 0.5, 0.2])[:, None, None]

    def share(grey: float) -> float:
        changed = change(Contrasts(1.0, grey=grey), coloured, labels)
        return float((changed.diff(dim=1).abs().amax((1, 2, 3)) < 1).float().mean())

    assert share(0) == 0
    assert share(0.5) == pytest.approx(0.5, abs=0.15)


def test_the_same_generator_gives_the_same_contrast() -> None:
    pictures, labels = sheets()
    one, other, third = (change(Contrasts(), pictures, labels, seed) for seed in (1, 1, 2))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)
