"""Random contrasts: what another scanner, window, probe or stain might have made of a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ibistrain.batches.gallery import IDS
from ibistrain.batches.pose import smooth_noise

MANY_LABELS = 5
"""Only pictures with more labels than that are painted in contrasts of our own."""


@dataclass(frozen=True)
class Contrasts:
    """How far the colours of pictures are changed.

    Attributes:
        strength: Scales all of it.
        inverted: Share of pictures that become their negative.
        painted: Share of the pictures with many labels that are painted by label.
        grey: Share of pictures in colour that lose it.
    """

    strength: float = 1.0
    inverted: float = 0.03
    painted: float = 0.2
    grey: float = 0.15

    def change(self, pictures: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """The same pictures in other colours, float in [0, 255].

        Args:
            pictures: Axes (picture, channel, row, column), float in [0, 255].
            labels: Label ids, axes (picture, row, column), uint8.
            generator: Of the same device.
        """
        if self.strength == 0:
            return pictures
        draw = _Draw(len(pictures), generator, self.strength)
        image = self._painted(pictures, labels, draw) / 255
        image = torch.where(draw.share(self.inverted), 1 - image, image)
        mean = image.mean(1, keepdim=True)
        image = torch.where(draw.share(self.grey), mean.expand_as(image), image)
        colour = (image - mean).abs().amax((1, 2, 3), keepdim=True) > 0.02
        tint = draw.spread(-0.12, 0.12, 3)
        image = torch.where(colour, image + tint, image)
        image = image.clamp(0, 1) ** draw.spread(-0.5, 0.5).exp()
        image = self._bent(image, draw)
        image = (image - 0.5) * draw.spread(-0.35, 0.25).exp() + 0.5 + draw.spread(-0.1, 0.1)
        size = (image.shape[2], image.shape[3])
        image = image + smooth_noise(len(image), 1, size, 3, 0.08 * self.strength, generator)
        image = self._sharpness(image, draw)
        noise = torch.randn(
            len(image), 1, *size, generator=generator, device=image.device, dtype=image.dtype
        )
        image = image + torch.where(draw.share(0.4), draw.spread(0, 0.07).abs(), 0.0) * noise
        return image.clamp(0, 1) * 255

    def _painted(self, pictures: Tensor, labels: Tensor, draw: _Draw) -> Tensor:
        """Some pictures with each label, and the background, at a brightness of its own.

        After SynthSeg (Billot et al., Medical Image Analysis 2023): what has seen every contrast
        relies on none. The picture's own texture is kept in part, so that regions are not flat.
        """
        ids = labels.flatten(1).long()
        counts = torch.zeros(len(ids), IDS, device=ids.device)
        counts.scatter_add_(1, ids, torch.ones_like(ids, dtype=counts.dtype))
        many = ((counts > 0).sum(1) > MANY_LABELS)[:, None, None, None]
        grey = pictures.mean(1)
        sums = torch.zeros_like(counts).scatter_add_(1, ids, grey.flatten(1))
        means = sums / counts.clamp(min=1)
        wanted = 20 + 215 * draw.even(IDS)
        wanted[:, 0] = 0.5 * (wanted[:, 0] + means[:, 0])
        kept = 0.3 + 0.7 * draw.even(IDS)
        texture = (grey.flatten(1) - means.gather(1, ids)) * kept.gather(1, ids)
        painted = (wanted.gather(1, ids) + texture).clamp(0, 255).view_as(grey)[:, None]
        return torch.where(many & draw.share(self.painted), painted.expand_as(pictures), pictures)

    def _bent(self, image: Tensor, draw: _Draw) -> Tensor:
        """A random bend of the grey scale, as other windows and sequences give it."""
        slow = draw.spread(-0.12, 0.12) * torch.sin(math.pi * image)
        return image + slow + draw.spread(-0.06, 0.06) * torch.sin(2 * math.pi * image)

    def _sharpness(self, image: Tensor, draw: _Draw) -> Tensor:
        """Some pictures softer, some sharper, some as coarse as half or a third of their pixels."""
        padded = functional.pad(image, (2, 2, 2, 2), mode="replicate")
        soft = functional.avg_pool2d(functional.avg_pool2d(padded, 3, 1), 3, 1)
        image = torch.where(draw.share(0.2), image + draw.spread(-1, 1) * (image - soft), image)
        size = (image.shape[2], image.shape[3])
        for part in (2, 3):
            small = functional.avg_pool2d(image, part, ceil_mode=True)
            coarse = functional.interpolate(small, size=size, mode="bilinear", align_corners=False)
            image = torch.where(draw.share(0.06), coarse, image)
        return image


@dataclass(frozen=True)
class _Draw:
    """Random numbers, one set a picture."""

    count: int
    generator: torch.Generator
    strength: float

    def even(self, *shape: int) -> Tensor:
        """In [0, 1), axes (picture, ...)."""
        device = self.generator.device
        return torch.rand(self.count, *shape, generator=self.generator, device=device)

    def spread(self, low: float, high: float, channels: int = 1) -> Tensor:
        """Between two bounds that the strength scales, axes (picture, channel, 1, 1)."""
        return self.strength * (low + (high - low) * self.even(channels, 1, 1))

    def share(self, part: float) -> Tensor:
        """True for a share of the pictures, which the strength scales."""
        return self.even(1, 1, 1) < part * self.strength
