"""Random changes to a picture that leave its meaning: pose, shape, crop, contrast, noise.

Few subjects are labelled, so each is shown in many forms. Geometry moves picture, labels and
mask alike; intensity moves the picture only. Mirroring is left to sets where sides mean nothing.
"""

from __future__ import annotations

import math
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ibisagent.tools.base import RGB

Layer = NDArray[np.uint8]
"""An integer image that moves with the picture, axes (row, column)."""


def warp(
    rgb: RGB, layers: list[Layer], rng: Random, flip: bool, strength: float = 1.0
) -> tuple[RGB, list[Layer]]:
    """Rotate, scale, shift, stretch and bend picture and layers by one random map.

    Args:
        rgb: Picture, axes (row, column, channel).
        layers: Integer images of the same size; moved by nearest neighbour.
        rng: Draws the map.
        flip: Whether to mirror in half of the cases.
        strength: Scales all of it; 0 changes nothing but the mirror.

    Returns:
        Picture and layers of a new, slightly different size.
    """
    height, width = rgb.shape[:2]
    stretch = math.exp(strength * rng.uniform(-0.12, 0.12))
    size = (max(32, round(height * stretch)), max(32, round(width / stretch)))
    grid = _affine_grid(size, rng, flip, strength) + _bend(size, rng, strength)
    stack = torch.from_numpy(np.stack(layers)[None].astype(np.float32)) if layers else None
    picture = torch.from_numpy(rgb.astype(np.float32)).permute(2, 0, 1)[None]
    moved = functional.grid_sample(picture, grid, "bilinear", "zeros", align_corners=False)
    out = moved[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
    if stack is None:
        return out, []
    flat = functional.grid_sample(stack, grid, "nearest", "zeros", align_corners=False)[0]
    return out, list(flat.to(torch.uint8).numpy())


def recolour(rgb: RGB, rng: Random, strength: float = 1.0) -> RGB:
    """Change contrast, brightness, gamma, sharpness and noise; rarely invert.

    Args:
        rgb: Picture, axes (row, column, channel).
        rng: Draws the changes.
        strength: Scales all of it.
    """
    image = torch.from_numpy(rgb.astype(np.float32) / 255.0)
    if rng.random() < 0.03 * strength:
        image = 1.0 - image
    image = image.clamp(0, 1) ** math.exp(strength * rng.uniform(-0.5, 0.5))
    image = (image - 0.5) * math.exp(strength * rng.uniform(-0.3, 0.3)) + 0.5
    image = image + strength * rng.uniform(-0.12, 0.12)
    image = image + _shading(image.shape[0], image.shape[1], rng, strength)
    if rng.random() < 0.3 * strength:
        image = _blur(image)
    if rng.random() < 0.4 * strength:
        generator = torch.Generator().manual_seed(rng.getrandbits(31))
        sigma = strength * rng.uniform(0.0, 0.06)
        image = image + sigma * torch.randn(image.shape[:2], generator=generator)[..., None]
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _affine_grid(size: tuple[int, int], rng: Random, flip: bool, strength: float) -> torch.Tensor:
    angle = strength * math.radians(rng.gauss(0, 8))
    scale = math.exp(strength * rng.uniform(-0.25, 0.2))
    shift = [strength * rng.uniform(-0.15, 0.15) for _ in range(2)]
    mirror = -1.0 if flip and rng.random() < 0.5 else 1.0
    cosine, sine = math.cos(angle) * scale, math.sin(angle) * scale
    matrix = torch.tensor([[[cosine * mirror, -sine, shift[0]], [sine * mirror, cosine, shift[1]]]])
    return functional.affine_grid(matrix, [1, 1, *size], align_corners=False)


def _bend(size: tuple[int, int], rng: Random, strength: float) -> torch.Tensor:
    """A smooth random displacement, in units of half the picture."""
    return _smooth_noise(size, 2, 5, rng, 0.04 * strength).permute(0, 2, 3, 1)


def _shading(height: int, width: int, rng: Random, strength: float) -> torch.Tensor:
    """A slow change of brightness over the picture, as coils and gain make it."""
    return _smooth_noise((height, width), 1, 3, rng, 0.08 * strength)[0, 0, :, :, None]


def _smooth_noise(
    size: tuple[int, int], channels: int, knots: int, rng: Random, sigma: float
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rng.getrandbits(31))
    coarse = torch.randn(1, channels, knots, knots, generator=generator) * sigma
    return functional.interpolate(coarse, size=size, mode="bicubic", align_corners=True)


def _blur(image: torch.Tensor) -> torch.Tensor:
    planes = image.permute(2, 0, 1)[None]
    soft = functional.avg_pool2d(functional.pad(planes, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return soft[0].permute(1, 2, 0)
