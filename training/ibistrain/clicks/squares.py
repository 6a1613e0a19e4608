"""Pictures of a gallery as the tool sees them: posed, recoloured, and in its padded square."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ibisagent.tools.litemedsam_net import SIDE
from ibistrain.batches.contrast import Contrasts
from ibistrain.batches.gallery import Gallery
from ibistrain.batches.pose import Poses, posed, posed_layers

STRENGTH = 1.3
"""Of the augmentation; a tool that follows clicks need not know the usual pose or contrast."""
UPRIGHT = 0.7
"""Share of pictures that are not turned by a quarter or a half."""
POSES = Poses(strength=STRENGTH)
CONTRASTS = Contrasts(strength=STRENGTH, inverted=0.1, painted=0.15)


@dataclass(frozen=True, eq=False)
class Squares:
    """Pictures in the tool's square, each in the upper left corner; the rest is padding.

    Attributes:
        images: What the encoder sees, axes (picture, channel, row, column), in [0, 1].
        labels: Label ids, axes (picture, row, column), uint8; 0 in the padding.
        regions: Unlabelled regions, one a bit, of the same form.
        inside: Where the picture is, of the same axes, bool.
    """

    images: Tensor
    labels: Tensor
    regions: Tensor
    inside: Tensor


def draw_squares(
    gallery: Gallery, regions: Tensor, drawn: Tensor, generator: torch.Generator
) -> Squares:
    """Pictures in random poses and contrasts, any side up.

    Args:
        gallery: The pictures.
        regions: Their unlabelled regions, as from `find_regions`.
        drawn: Numbers of pictures.
        generator: Of the gallery's device.
    """
    turns, mirrored = _sides(len(drawn), generator)
    sizes = gallery.sizes[drawn]
    inner = inner_sizes(torch.where((turns % 2 == 1)[:, None], sizes.flip(1), sizes))
    inside = inside_of(inner)
    field = POSES.map(gallery, drawn, (SIDE, SIDE), generator)
    places = _looked_up(field, _turned(coordinates(inner), turns, mirrored))
    labels = torch.where(inside, posed_layers(gallery.labels[drawn], places), 0)
    images = CONTRASTS.change(posed(gallery.pictures[drawn], places), labels, generator)
    found = torch.where(inside, posed_layers(regions[drawn], places), 0)
    return Squares(stretched(images, inside), labels, found, inside)


def plain_squares(gallery: Gallery, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures as they are, see `Squares.images`, and their (height, width) in the square."""
    inner = inner_sizes(gallery.sizes[drawn])
    share = gallery.sizes[drawn].flip(1)[:, None, None] / gallery.pictures.shape[-1]
    images = posed(gallery.pictures[drawn], (coordinates(inner) + 1) * share - 1)
    return stretched(images, inside_of(inner)), inner


def inner_sizes(sizes: Tensor) -> Tensor:
    """(height, width) of pictures inside the square, see `SquareFrame.inner`.

    Args:
        sizes: (height, width) of the pictures, axes (picture, 2).
    """
    exact = sizes.double() * SIDE / sizes.amax(1, keepdim=True)
    return (exact + 0.5).floor().long().clamp(min=1)


def inside_of(inner: Tensor) -> Tensor:
    """Where pictures are in the square, bool, axes (picture, row, column)."""
    lines = torch.arange(SIDE, device=inner.device)
    rows, columns = (lines < inner[:, axis, None] for axis in (0, 1))
    return rows[:, :, None] & columns[:, None, :]


def coordinates(inner: Tensor) -> Tensor:
    """(x, y) of the square's pixels in their picture, which reaches from -1 to 1.

    Args:
        inner: (height, width) of the pictures in the square, axes (picture, 2).

    Returns:
        Axes (picture, row, column, 2); beyond 1 in the padding.
    """
    lines = torch.arange(SIDE, device=inner.device) + 0.5
    y, x = (2 * lines / inner[:, axis, None] - 1 for axis in (0, 1))
    size = (len(inner), SIDE, SIDE)
    return torch.stack([x[:, None, :].expand(size), y[:, :, None].expand(size)], -1)


def stretched(images: Tensor, inside: Tensor) -> Tensor:
    """Intensities of each picture stretched to [0, 1], and 0 in the padding, as the tool does it.

    Args:
        images: Axes (picture, channel, row, column), any range.
        inside: Where the picture is.
    """
    where = inside[:, None]
    low = torch.where(where, images, torch.inf).amin((1, 2, 3), keepdim=True)
    high = torch.where(where, images, -torch.inf).amax((1, 2, 3), keepdim=True)
    return torch.where(where, (images - low) / (high - low).clamp_min(1e-8), 0.0)


def _sides(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """How many quarter turns each picture makes, and whether it is mirrored."""
    lots = torch.rand(2, count, generator=generator, device=generator.device)
    part = (1 - UPRIGHT) / 3
    turns = ((lots[0] - UPRIGHT) / part).floor().clamp(-1, 2).long() + 1
    return turns, lots[1] < 0.5


def _turned(places: Tensor, turns: Tensor, mirrored: Tensor) -> Tensor:
    """Coordinates in pictures that are turned by quarters and mirrored."""
    odd = (turns % 2 == 1)[:, None, None]
    x, y = places.unbind(-1)
    x = torch.where(mirrored[:, None, None], -x, x)
    # by quarters, (x, y) becomes (y, -x), (-x, -y), (-y, x)
    sign_x = torch.where(turns < 2, 1, -1)[:, None, None]
    sign_y = torch.where((turns == 0) | (turns == 3), 1, -1)[:, None, None]
    return torch.stack([sign_x * torch.where(odd, y, x), sign_y * torch.where(odd, x, y)], -1)


def _looked_up(field: Tensor, places: Tensor) -> Tensor:
    """A smooth map, axes (picture, row, column, 2), at other places."""
    found = functional.grid_sample(
        field.permute(0, 3, 1, 2), places, "bilinear", "border", align_corners=False
    )
    return found.permute(0, 2, 3, 1)
