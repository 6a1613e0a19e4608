"""Tools that follow clicks in many pictures at once, whose masks can be computed by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from ibisagent.tools.litemedsam_net import SIDE
from ibisagent.tools.square_frame import CERTAIN, SquareFrame
from ibistrain.grounding import TAUGHT_WIDTH


def discs(points: Tensor, radius: float) -> Tensor:
    """Discs in the square around points (row, column), bool, axes (point, row, column)."""
    lines = torch.arange(SIDE)
    down = (lines - points[:, :1]) ** 2
    across = (lines - points[:, 1:]) ** 2
    return down[:, :, None] + across[:, None, :] <= radius**2


@dataclass
class Asked:
    """One call of a tool.

    Attributes:
        seen: What was in the first channel of each embedding, on the average.
        before, after: Logits, axes (prompt, row, column).
        points: Axes (prompt, click, 2).
        signs: Axes (prompt, click).
    """

    seen: Tensor
    before: Tensor
    points: Tensor
    signs: Tensor
    after: Tensor


@dataclass
class FollowingDiscs:
    """Each positive click adds a disc, each negative click removes one.

    The embedding of a picture is its brightness, in the upper left corner of the square.

    Attributes:
        radius: Of every disc, in pixels of the square.
        asked: Every call, oldest first.
    """

    radius: float = 30.0
    asked: list[Asked] = field(default_factory=list)

    def embed(self, pictures: Tensor) -> Tensor:
        inner = SquareFrame((pictures.shape[2], pictures.shape[3]), SIDE).inner
        height, width = (round(side / 4) for side in inner)
        small = functional.interpolate(pictures.mean(1, keepdim=True), (height, width))
        padded = functional.pad(small, (0, SIDE // 4 - width, 0, SIDE // 4 - height))
        return padded.expand(-1, TAUGHT_WIDTH, -1, -1)

    def blank(self, count: int) -> Tensor:
        return torch.full((count, SIDE, SIDE), -CERTAIN)

    def follow(
        self,
        embeddings: Tensor,
        logits: Tensor,
        points: Tensor,
        signs: Tensor,
        inner: tuple[int, int],
    ) -> Tensor:
        after = self.mask(logits > 0, points, signs)
        after[:, inner[0] :], after[:, :, inner[1] :] = False, False
        made = torch.where(after, CERTAIN, -CERTAIN)
        seen = embeddings[:, 0].mean((1, 2))
        self.asked.append(Asked(seen, logits, points, signs, made))
        return made

    def mask(self, before: Tensor, points: Tensor, signs: Tensor) -> Tensor:
        """Bool, axes (prompt, row, column)."""
        near = discs(points[:, -1], self.radius)
        return torch.where(near, signs[:, -1, None, None], before)


@dataclass
class Stubborn(FollowingDiscs):
    """Whatever is clicked, the mask is the same.

    Attributes:
        always: It, axes (row, column) of the square.
    """

    always: Tensor = field(default_factory=lambda: torch.zeros(SIDE, SIDE, dtype=torch.bool))

    def mask(self, before: Tensor, points: Tensor, signs: Tensor) -> Tensor:
        return self.always.expand_as(before).clone()
