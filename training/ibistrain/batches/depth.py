"""Depth inside masks, deep points, and what hangs together with a point: for many masks at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def depths(masks: Tensor) -> Tensor:
    """Distance of each pixel of a mask to the nearest pixel that is not of it; 0 outside.

    Exact Euclidean distances (Felzenszwalb and Huttenlocher, Theory of Computing 2012, computed
    without their envelopes: one pass a row distance). The picture's edge counts as outside.

    Args:
        masks: Bool, axes (mask, row, column).

    Returns:
        Float, the same axes, in pixels.
    """
    if not masks.numel():
        return masks.float()
    padded = functional.pad(masks, (1, 1, 1, 1))
    across = _along_rows(padded)
    most = int(across.amax().item()) + 1
    squared = across**2
    found = squared.clone()
    height = padded.shape[1]
    for step in range(1, min(most, height)):
        moved = squared[:, step:] + step**2
        found[:, :-step] = torch.minimum(found[:, :-step], moved)
        moved = squared[:, :-step] + step**2
        found[:, step:] = torch.minimum(found[:, step:], moved)
    return found[:, 1:-1, 1:-1].sqrt()


def _along_rows(masks: Tensor) -> Tensor:
    """Distance to the nearest pixel outside in the same row, float."""
    width = masks.shape[2]
    columns = torch.arange(width, device=masks.device).expand(masks.shape)
    before = torch.where(masks, 0, columns).cummax(2).values
    behind = torch.where(masks, width - 1, columns).flip(2).cummin(2).values.flip(2)
    return torch.where(masks, torch.minimum(columns - before, behind - columns), 0).float()


def deep_points(depth: Tensor, share: Tensor | None, generator: torch.Generator) -> Tensor:
    """A pixel of each mask among those that are deep enough.

    Args:
        depth: From `depths`.
        share: Share of the greatest depth that is enough, axis (mask); None for the deepest.
        generator: Of the same device.

    Returns:
        (row, column), axes (mask, 2); the first pixel where a mask is empty.
    """
    flat = depth.flatten(1)
    if share is not None:
        enough = flat >= share[:, None] * flat.amax(1, keepdim=True)
        lots = torch.rand(flat.shape, generator=generator, device=flat.device)
        flat = torch.where(enough & (flat > 0), lots + 1e-6, 0.0)
    chosen = flat.argmax(1)
    width = depth.shape[2]
    return torch.stack([chosen // width, chosen % width], 1)


def connected(masks: Tensor, points: Tensor, steps: int = 400) -> Tensor:
    """The part of each mask that hangs together with a point, by its four neighbours.

    Args:
        masks: Bool, axes (mask, row, column).
        points: (row, column), axes (mask, 2); a point outside its mask gives an empty part.
        steps: Most rounds of growth; each goes as far as a row or a column is unbroken.
    """
    part = torch.zeros_like(masks)
    numbers = torch.arange(len(masks), device=masks.device)
    part[numbers, points[:, 0], points[:, 1]] = masks[numbers, points[:, 0], points[:, 1]]
    for _ in range(steps):
        grown = _swept(_swept(part, masks, 2), masks, 1)
        if torch.equal(grown, part):
            break
        part = grown
    return part


def _swept(part: Tensor, masks: Tensor, axis: int) -> Tensor:
    """A part spread along an axis as far as the mask is unbroken, both ways."""
    # A run of the mask belongs to the part if it holds a pixel of it: runs are numbered, and a
    # number is marked if any of its pixels is.
    starts = masks & ~functional.pad(masks, _before(axis)).narrow(axis, 0, masks.shape[axis])
    runs = starts.cumsum(axis, dtype=torch.int64)
    shape = list(masks.shape)
    shape[axis] = shape[axis] // 2 + 2
    marked = torch.zeros(shape, dtype=torch.int32, device=masks.device)
    marked.scatter_reduce_(axis, runs, part.to(torch.int32), "amax")
    return masks & marked.gather(axis, runs).bool()


def _before(axis: int) -> tuple[int, ...]:
    return (1, 0) if axis == 2 else (0, 0, 1, 0)
