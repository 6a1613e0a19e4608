"""What a skilled annotator would do now, for many questions at once.

The same judgement as that of `ibisagent.policies.scripted`, which plays one episode at a time: a
test compares the two. Beside the reply it tells how good every other click would have been, and
where one has to look to find it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor
from torch.nn import functional

from ibistrain.batches.depth import connected, deep_points, depths

STOP_IOU = 0.7
"""IoU from which the annotator is satisfied."""
COARSER = 2
"""Depths are measured on pixels this many times as large: four times as fast, and near enough."""
DEPTH_POWER = 3
"""How much more the deepest cells of a region count: what is looked at broadly is read dimly."""


class Kind(IntEnum):
    """What the annotator says."""

    FIRST = 0
    MISSED = 1
    SPILLED = 2
    ELSEWHERE = 3
    DONE = 4
    ABSENT = 5

    @property
    def clicks(self) -> bool:
        """Whether a click follows."""
        return self <= Kind.ELSEWHERE


@dataclass(frozen=True, eq=False)
class Answers:
    """The right replies to questions, in numbers.

    Attributes:
        kinds: `Kind` of each question, axis (question).
        clicks: Down and across as shares of the picture, axes (question, 2); 0 without a click.
        facts: Of the region that is spoken of: share of the picture, and its middle, down and
            across; axes (question, 3).
        worths: What each value of a coordinate is worth, axes (question, x or y, hundredth); see
            `worths_of`.
        looks: Where to look before x and before y is written, axes (question, x or y, row,
            column); see `looks_of`.
    """

    kinds: Tensor
    clicks: Tensor
    facts: Tensor
    worths: Tensor
    looks: Tensor


def answer(
    truths: Tensor, masks: Tensor | None, settled: Tensor | None, grid: tuple[int, int]
) -> Answers:
    """The annotator's replies.

    Args:
        truths: What is asked for, bool, axes (question, row, column).
        masks: What is marked, likewise; None where nothing is marked anywhere.
        settled: Questions at whose masks stopping is right whatever they are worth, axis
            (question).
        grid: Rows and columns of the vision tokens.
    """
    marked = torch.zeros_like(truths) if masks is None else masks
    missed = _coarse(truths & ~marked)
    deep = depths(missed)
    error, depth = missed, deep
    positive = torch.ones(len(truths), dtype=torch.bool, device=truths.device)
    if masks is not None:
        spilled = _coarse(masks & ~truths)
        surplus = depths(spilled)
        positive = deep.amax((1, 2)) >= surplus.amax((1, 2))
        error = torch.where(positive[:, None, None], missed, spilled)
        depth = torch.where(positive[:, None, None], deep, surplus)
    points = deep_points(depth, None, torch.Generator(truths.device))
    kinds = _kinds(truths, masks, settled, positive)
    whole = (kinds == Kind.FIRST) | (kinds == Kind.DONE)
    spoken = connected(error, points) if masks is not None else error
    spoken = torch.where(whole[:, None, None], _coarse(truths), spoken)
    clicked = (kinds <= Kind.ELSEWHERE)[:, None]
    size = torch.tensor(error.shape[1:], device=truths.device)
    return Answers(
        kinds=kinds,
        clicks=torch.where(clicked, (points + 0.5) / size, 0.0),
        facts=_facts(spoken),
        worths=worths_of(depth, points) * clicked[..., None],
        looks=looks_of(depth, points, grid) * clicked[..., None, None],
    )


def iou_of(masks: Tensor, truths: Tensor) -> Tensor:
    """Intersection over union, 1 where both are empty; axis (question)."""
    both = (masks & truths).sum((1, 2))
    either = (masks | truths).sum((1, 2))
    return torch.where(either == 0, 1.0, both / either.clamp(min=1))


def worths_of(depth: Tensor, points: Tensor) -> Tensor:
    """What each value of a click's coordinates is worth, in [0, 1].

    Nothing outside the region, a half at its border, 1 at its deepest point. For x it is the best
    that any y could make of it, for y that at the x of the deepest point.

    Args:
        depth: Depth inside the region, axes (question, row, column).
        points: (row, column) of the deepest point, axes (question, 2).

    Returns:
        Axes (question, x or y, hundredth).
    """
    height, width = depth.shape[1:]
    most = depth.amax((1, 2), keepdim=True).clamp(min=1e-6)
    score = (depth > 0) * (0.5 + 0.5 * depth / most)
    middles = (torch.arange(100, device=depth.device) + 0.5) / 100
    across = score.amax(1)[:, (middles * width).long()]
    numbers = torch.arange(len(depth), device=depth.device)
    down = score[numbers, :, points[:, 1]][:, (middles * height).long()]
    return torch.stack([across, down], 1)


def looks_of(depth: Tensor, points: Tensor, grid: tuple[int, int]) -> Tensor:
    """Where to look before x is written, and where before y; each map sums to 1, or to 0.

    More weight the deeper inside. The second look is at what lies above and below the deepest
    point: of several parts, y must be that of the part whose x has been written. Where there is
    nothing to click on, the maps are 0: whoever looks for it should look at no part of the
    picture, and so knows that it is not there.

    Args:
        depth: Depth inside the region, axes (question, row, column).
        points: (row, column) of the deepest point, axes (question, 2).
        grid: Rows and columns of the maps.

    Returns:
        Axes (question, x or y, row, column).
    """
    # Scaled before the power, so that half precision would not overflow.
    scaled = depth / depth.amax((1, 2), keepdim=True).clamp(min=1e-6)
    cells = functional.adaptive_avg_pool2d(scaled[:, None] ** DEPTH_POWER, grid)[:, 0]
    columns = torch.arange(grid[1], device=depth.device)
    deepest = (points[:, 1] + 0.5) / depth.shape[2] * grid[1] - 0.5
    near = torch.exp(-((columns - deepest[:, None]) ** 2) / 2)
    maps = torch.stack([cells, cells * near[:, None]], 1)
    return maps / maps.sum((2, 3), keepdim=True).clamp(min=1e-6)


def _kinds(
    truths: Tensor, masks: Tensor | None, settled: Tensor | None, positive: Tensor
) -> Tensor:
    there = truths.flatten(1).any(1)
    if masks is None:
        return torch.where(there, int(Kind.FIRST), int(Kind.ABSENT))
    marked = masks.flatten(1).any(1)
    touched = (masks & truths).flatten(1).any(1)
    kinds = torch.where(positive, int(Kind.MISSED), int(Kind.SPILLED))
    kinds = torch.where(positive & ~touched, int(Kind.ELSEWHERE), kinds)
    kinds = torch.where(~marked, int(Kind.FIRST), kinds)
    done = iou_of(masks, truths) >= STOP_IOU
    if settled is not None:
        done |= settled & there & marked
    kinds = torch.where(done, int(Kind.DONE), kinds)
    return torch.where(~there & ~marked, int(Kind.ABSENT), kinds)


def _coarse(masks: Tensor) -> Tensor:
    """Masks on larger pixels; what would vanish keeps its fullest pixel."""
    share = functional.avg_pool2d(masks[:, None].float(), COARSER)[:, 0]
    fullest = share.amax((1, 2), keepdim=True)
    return (share >= fullest.clamp(max=0.5)) & (share > 0)


def _facts(regions: Tensor) -> Tensor:
    """Share of the picture, and middle, down and across; axes (question, 3)."""
    height, width = regions.shape[1:]
    inside = regions.float()
    count = inside.sum((1, 2)).clamp(min=1)
    rows = (torch.arange(height, device=regions.device) + 0.5) / height
    columns = (torch.arange(width, device=regions.device) + 0.5) / width
    down = (inside.sum(2) * rows).sum(1) / count
    across = (inside.sum(1) * columns).sum(1) / count
    return torch.stack([inside.mean((1, 2)), down, across], 1)
