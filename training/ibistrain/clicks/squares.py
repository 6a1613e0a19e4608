"""Pictures of a gallery as the tool sees them: posed, recoloured, and in its padded square."""

from __future__ import annotations

import math
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
TURN = 8.0 * STRENGTH
"""Spread of the angle by which pictures are turned beside that, in degrees."""
POSES = Poses(strength=STRENGTH, turn=0)  # turned here, where heights and widths differ
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
    quarters = _quarters(len(drawn), generator)
    whole = inner_sizes(gallery.sizes[drawn])
    inner = torch.where((quarters % 2 == 1)[:, None], whole.flip(1), whole)
    inside = inside_of(inner)
    field = POSES.map(gallery, drawn, (SIDE, SIDE), generator)
    places = _looked_up(field, _turned(inner, whole, quarters, generator))
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


def _quarters(count: int, generator: torch.Generator) -> Tensor:
    """How many quarter turns each picture makes."""
    lots = torch.rand(count, generator=generator, device=generator.device)
    part = (1 - UPRIGHT) / 3
    return ((lots - UPRIGHT) / part).floor().clamp(-1, 2).long() + 1


def _turned(inner: Tensor, whole: Tensor, quarters: Tensor, generator: torch.Generator) -> Tensor:
    """Coordinates in pictures that are turned and, every other one, mirrored.

    Args:
        inner: (height, width) of the turned pictures in the square, axes (picture, 2).
        whole: The same before they are turned by quarters.
        quarters: How many quarter turns they make.
        generator: Of the same device.

    Returns:
        As `coordinates`.
    """
    normal, even = torch.randn(2, len(inner), generator=generator, device=inner.device).unbind()
    angle = quarters * (math.pi / 2) + math.radians(TURN) * normal
    sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
    pixels = coordinates(inner) * inner.flip(1)[:, None, None]
    x, y = torch.where(even < 0, -1, 1)[:, None, None] * pixels[..., 0], pixels[..., 1]
    turned = torch.stack([cosine * x + sine * y, cosine * y - sine * x], -1)
    return turned / whole.flip(1)[:, None, None]


def _looked_up(field: Tensor, places: Tensor) -> Tensor:
    """A smooth map, axes (picture, row, column, 2), at other places."""
    found = functional.grid_sample(
        field.permute(0, 3, 1, 2), places, "bilinear", "border", align_corners=False
    )
    return found.permute(0, 2, 3, 1)
