"""Where people click who want other masks than they see, for many masks at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ibistrain.batches.depth import deep_points, depths

EXACT = 0.5
"""Share of clicks at the deepest point, as the evaluation's annotator and our agent click."""
NEAR_CENTRE = (0.35, 0.95)
"""The others are drawn among points at least this share of the greatest depth deep; the share
itself is drawn anew for each click, since people are more or less careful."""
ANYWHERE = 0.1
"""Share of first clicks that are anywhere in the target."""
WRONG = 0.04
"""Share of clicks that are mistakes: of the wrong polarity for the place."""


@dataclass(frozen=True, eq=False)
class Clicks:
    """One click a mask.

    Attributes:
        places: (row, column) in pixels of the square, axes (mask, 2), int64.
        positive: Axis (mask), bool.
    """

    places: Tensor
    positive: Tensor

    def where(self, chosen: Tensor, other: Clicks) -> Clicks:
        """These where `chosen`, axis (mask), and others elsewhere."""
        places = torch.where(chosen[:, None], self.places, other.places)
        return Clicks(places, torch.where(chosen, self.positive, other.positive))


def first_pixels(targets: Tensor) -> Clicks:
    """Positive clicks on the first pixel of each target, axes (target, row, column)."""
    first = targets.flatten(1).to(torch.uint8).argmax(1)
    places = torch.stack([first // targets.shape[2], first % targets.shape[2]], 1)
    return Clicks(places, torch.ones_like(first, dtype=torch.bool))


def draw_shares(count: int, first: bool, generator: torch.Generator) -> Tensor:
    """How deep clicks are at least, in shares of the greatest depth, axis (click)."""
    lots = torch.rand(3, count, generator=generator, device=generator.device)
    low, high = NEAR_CENTRE
    shares = torch.where(lots[0] < EXACT, 1.0, low + (high - low) * lots[1])
    return torch.where(lots[2] < ANYWHERE, 0.0, shares) if first else shares


def draw_clicks(
    targets: Tensor, masks: Tensor, shares: Tensor, generator: torch.Generator
) -> tuple[Clicks, Tensor]:
    """Clicks in the larger error of each mask: in what is missing, or in what is too much.

    Depths are measured in cells of 2 x 2 pixels, which is four times as fast.

    Args:
        targets: What is wanted, axes (mask, row, column), bool; even sides.
        masks: What is there, of the same form.
        shares: From `draw_shares`.
        generator: Of the same device.

    Returns:
        The clicks, and whether there is anything to correct, axis (mask), bool; where there is
        not, a click is on the first pixel of the square.
    """
    missed, spilled = targets & ~masks, masks & ~targets
    deep = depths(_coarse(torch.cat([missed, spilled])))
    deep_missed, deep_spilled = deep.chunk(2)
    most = deep_missed.amax((1, 2)), deep_spilled.amax((1, 2))
    positive = most[0] >= most[1]
    chosen = positive[:, None, None]
    cells = deep_points(torch.where(chosen, deep_missed, deep_spilled), shares, generator)
    places = _pixels_of(cells, torch.where(chosen, missed, spilled), generator)
    return Clicks(places, positive), torch.maximum(*most) > 0


def mistaken(clicks: Clicks, generator: torch.Generator) -> Clicks:
    """Clicks of which some have the wrong polarity."""
    lots = torch.rand(len(clicks.positive), generator=generator, device=generator.device)
    return Clicks(clicks.places, clicks.positive ^ (lots < WRONG))


def _coarse(masks: Tensor) -> Tensor:
    """Masks of cells of 2 x 2 pixels, of which any pixel is in the mask."""
    return functional.max_pool2d(masks.float(), 2) > 0


def _pixels_of(cells: Tensor, masks: Tensor, generator: torch.Generator) -> Tensor:
    """A pixel of each mask in its cell, (row, column), axes (mask, 2)."""
    corners = torch.arange(4, device=masks.device)
    pixels = 2 * cells[:, None] + torch.stack([corners // 2, corners % 2], 1)
    numbers = torch.arange(len(masks), device=masks.device)[:, None]
    held = masks[numbers, pixels[..., 0], pixels[..., 1]]
    lots = torch.rand(held.shape, generator=generator, device=masks.device)
    best = (lots + held).argmax(1)
    return pixels[numbers[:, 0], best]
