"""Masks that somebody made before the first click: mostly near the target, but wrong."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

STARTED = 0.18
"""Share of targets that begin with such a mask."""
MOST_PIXELS, MOST_SHIFT = 8, 12
"""By which they are too large or too small, or out of place."""


def draw_starts(targets: Tensor, each: int, inside: Tensor, generator: torch.Generator) -> Tensor:
    """Starting masks, mostly empty, bool, axes (target, row, column).

    Args:
        targets: Masks, of the same axes; `each` of a picture follow each other.
        each: Targets of a picture.
        inside: Where the picture is, of the same axes.
        generator: Of the same device.
    """
    device = targets.device
    count = max(1, round(STARTED * len(targets)))
    some = torch.randperm(len(targets), generator=generator, device=device)[:count]
    drawn = targets[some]
    lots = torch.rand(2, count, 1, 1, generator=generator, device=device)
    reach = (lots[1] * MOST_PIXELS).floor() + 1
    neighbour = some // each * each + (some + 1) % each
    starts = torch.where(lots[0] < 0.8, _shifted(drawn, generator), targets[neighbour])
    starts = torch.where(lots[0] < 0.6, ~_grown(~drawn, reach), starts)
    starts = torch.where(lots[0] < 0.3, _grown(drawn, reach), starts)
    found = torch.zeros_like(targets)
    found[some] = starts & inside[some]
    return found


def _grown(masks: Tensor, reach: Tensor) -> Tensor:
    """Masks that are larger by some pixels, each by its own number, axes (mask, 1, 1)."""
    grown = masks.float()
    for step in range(MOST_PIXELS):
        wider = functional.max_pool2d(grown, 3, 1, 1)
        if step % 2:  # a square and a cross in turn make an octagon, nearly a disc
            across = functional.max_pool2d(grown, (1, 3), 1, (0, 1))
            wider = torch.maximum(across, functional.max_pool2d(grown, (3, 1), 1, (1, 0)))
        grown = torch.where(step < reach, wider, grown)
    return grown > 0


def _shifted(masks: Tensor, generator: torch.Generator) -> Tensor:
    """Masks somewhere else, at most `MOST_SHIFT` pixels away; what leaves the square is lost."""
    count, height, width = masks.shape
    by = torch.randint(
        -MOST_SHIFT, MOST_SHIFT + 1, (count, 2), generator=generator, device=masks.device
    )
    rows = torch.arange(height, device=masks.device) - by[:, :1]
    columns = torch.arange(width, device=masks.device) - by[:, 1:]
    numbers = torch.arange(count, device=masks.device)[:, None, None]
    moved = masks[
        numbers, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]
    ]
    real = ((rows >= 0) & (rows < height))[:, :, None]
    return moved & real & ((columns >= 0) & (columns < width))[:, None, :]
