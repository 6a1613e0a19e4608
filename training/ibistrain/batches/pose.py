"""Random poses: pictures of a gallery turned, scaled, shifted, stretched and bent, at once.

Few subjects are labelled, so each is shown in many forms. Pictures and everything that belongs to
them move by one map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ibistrain.batches.gallery import Gallery

LARGEST_STRETCH = 0.12
BEND, KNOTS = 0.04, 5
"""Spread of the displacement at each of `KNOTS` x `KNOTS` knots, in halves of the picture."""


@dataclass(frozen=True)
class Poses:
    """How far pictures are moved.

    Attributes:
        strength: Scales turning, scaling, shifting, stretching and bending; 0 leaves the picture.
        turn: Spread of the angle in degrees.
        nearer, farther: Logarithms of the largest magnification and reduction.
        shift: Largest shift, in halves of the picture.
        any_side_up: Whether any side may be up and left may be right, whatever the set says.
    """

    strength: float = 1.0
    turn: float = 8.0
    nearer: float = 0.45
    farther: float = 0.25
    shift: float = 0.2
    any_side_up: bool = False

    def map(
        self, gallery: Gallery, drawn: Tensor, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        """Where each pixel of the posed pictures comes from.

        Args:
            gallery: The pictures.
            drawn: Numbers of pictures.
            size: (height, width) of what is wanted.
            generator: Of the gallery's device.

        Returns:
            For `grid_sample` on the gallery's squares, axes (drawn, row, column, (x, y)).
        """
        count, height, width = len(drawn), *size
        device = gallery.device

        def spread(low: float, high: float, *more: int) -> Tensor:
            even = torch.rand(count, *more, generator=generator, device=device)
            return self.strength * (low + (high - low) * even)

        normal = torch.randn(count, generator=generator, device=device)
        angle = self.strength * math.radians(self.turn) * normal
        scale = spread(-self.nearer, self.farther).exp()
        stretch = spread(-LARGEST_STRETCH, LARGEST_STRETCH).exp()
        even = torch.rand(count, 2, generator=generator, device=device)
        mirrored = (even[:, 0] < 0.5) & (gallery.flips[drawn] | self.any_side_up)
        if self.any_side_up:
            quarter = (even[:, 1] * 8).floor().clamp(max=3)  # upright as often as not
            angle = angle + quarter * (math.pi / 2)
        rows = torch.arange(height, device=device) + 0.5 - height / 2
        columns = torch.arange(width, device=device) + 0.5 - width / 2
        columns = torch.where(mirrored, -1.0, 1.0)[:, None] * columns
        x = (scale * stretch)[:, None, None] * columns[:, None, :]
        y = (scale / stretch)[:, None, None] * rows[None, :, None]
        sine, cosine = angle.sin()[:, None, None], angle.cos()[:, None, None]
        sides = torch.stack([cosine * x - sine * y, sine * x + cosine * y], -1)
        place = sides * torch.tensor([2 / width, 2 / height], device=device)
        place = place + spread(-self.shift, self.shift, 2)[:, None, None]
        place = place + smooth_noise(
            count, 2, size, KNOTS, self.strength * BEND, generator
        ).permute(0, 2, 3, 1)
        inner = gallery.sizes[drawn].flip(1)[:, None, None] / gallery.pictures.shape[-1]
        return (place + 1) * inner - 1


def posed(squares: Tensor, places: Tensor) -> Tensor:
    """Pictures in their pose, float in [0, 255], axes (picture, channel, row, column)."""
    return functional.grid_sample(squares.float(), places, "bilinear", align_corners=False)


def posed_layers(layers: Tensor, places: Tensor) -> Tensor:
    """Integer images in their pose, by nearest neighbour.

    Args:
        layers: Axes (picture, row, column), uint8.
        places: From `Poses.map`.
    """
    moved = functional.grid_sample(layers[:, None].float(), places, "nearest", align_corners=False)
    return moved[:, 0].to(torch.uint8)


def smooth_noise(
    count: int,
    channels: int,
    size: tuple[int, int],
    knots: int,
    sigma: float,
    generator: torch.Generator,
) -> Tensor:
    """Slowly changing noise, axes (picture, channel, row, column)."""
    coarse = torch.randn(
        count, channels, knots, knots, generator=generator, device=generator.device
    )
    return functional.interpolate(sigma * coarse, size=size, mode="bicubic", align_corners=True)
