"""The loss of an interactive sequence: click after click, each where the last mask was wrong.

The mask is fed back as the tool does it: what a click may not change stays as it was. So the model
meets in training the masks it will make. Every click of a sequence carries a loss; gradients do
not run through the fed-back mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ibisagent.tools.base import Mask
from ibisagent.tools.click_consistency import Point
from ibisagent.tools.click_merge import merge
from ibisagent.tools.click_prompt import blank, points_of, with_clicks
from ibisagent.tools.square_frame import CERTAIN
from ibistrain.clicks.targets import draw_click

QUALITY_WEIGHT = 0.3
"""Of the predicted IoU's squared error beside the mask's loss."""


@dataclass(frozen=True, eq=False)
class Sequences:
    """Targets in one picture, to be clicked at side by side.

    Attributes:
        embedding: Of the picture, axes (1, channel, row, column).
        targets: Axes (target, row, column), bool.
        starts: Masks before the first click, of the same shape; mostly empty.
        inner: (height, width) of the picture in the square.
        clicks: How many clicks to simulate.
        seed: Draws the clicks.
    """

    embedding: Tensor
    targets: NDArray[np.bool_]
    starts: NDArray[np.bool_]
    inner: tuple[int, int]
    clicks: int
    seed: int


class ClickModel(nn.Module):
    """LiteMedSAM without its image encoder, with the loss of interactive sequences.

    Args:
        prompt_encoder: Of LiteMedSAM; trained.
        mask_decoder: Of LiteMedSAM; trained.
    """

    def __init__(self, prompt_encoder: nn.Module, mask_decoder: nn.Module) -> None:
        super().__init__()
        self.prompt_encoder: Any = prompt_encoder
        self.mask_decoder: Any = mask_decoder

    def forward(self, sequences: Sequence[Sequences]) -> dict[str, Tensor]:
        """Loss over all clicks of all sequences.

        Returns:
            ``loss``; and, without gradient, ``dice_1`` (mean Dice after the first click where
            nothing was marked before) and ``dice_last``.
        """
        parts = [self._play(one) for one in sequences]
        loss = torch.stack([part for part, _, _ in parts]).mean()
        first = [dice for _, dice, _ in parts if dice is not None]
        last = torch.stack([dice for _, _, dice in parts]).mean()
        known = torch.stack(first).mean() if first else torch.tensor(float("nan"))
        return {"loss": loss, "dice_1": known, "dice_last": last}

    def decode(
        self, embedding: Tensor, priors: NDArray[np.float32], clicks: Sequence[Sequence[Point]]
    ) -> tuple[Tensor, Tensor]:
        """One mask for each prompt: logits, axes (prompt, row, column), and predicted IoU."""
        drawn = [with_clicks(one, said) for one, said in zip(priors, clicks, strict=True)]
        masks = torch.from_numpy(np.stack(drawn)[:, None]).to(embedding.device)
        points = points_of(clicks, embedding.device)
        sparse, dense = self.prompt_encoder(points=points, boxes=None, masks=masks)
        logits, quality = self.mask_decoder(
            image_embeddings=embedding,
            image_pe=self.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return logits[:, 0].float(), quality[:, 0].float()

    def _play(self, one: Sequences) -> tuple[Tensor, Tensor | None, Tensor]:
        """Loss, Dice after the first click (None where a mask was there before), last Dice."""
        rng = Random(one.seed)
        height, width = one.inner
        truth = torch.from_numpy(one.targets[:, :height, :width]).to(one.embedding.device).float()
        side = one.targets.shape[-1]
        priors = np.where(one.starts, np.float32(CERTAIN), blank(side))
        masks: Sequence[Mask] = list(one.starts)
        clicks: list[list[Point]] = [[] for _ in one.targets]
        losses, dices = [], []
        for _ in range(one.clicks):
            for target, mask, said in zip(one.targets, masks, clicks, strict=True):
                said.append(draw_click(target, mask, rng) or _again(target, said))
            logits, quality = self.decode(one.embedding, priors, clicks)
            inside = logits[:, :height, :width]
            losses.append(_loss(inside, quality, truth))
            dices.append(_dice(inside.detach() > 0, truth).mean())
            answers = blank(side)[None].repeat(len(masks), 0)
            answers[:, :height, :width] = inside.detach().cpu().numpy()
            newest = [said[-1] for said in clicks]
            priors = np.stack(list(map(merge, priors, answers, newest)))
            masks = list(priors > 0)
        fresh = not one.starts.any()
        return torch.stack(losses).mean(), dices[0] if fresh else None, dices[-1]


def _again(target: Mask, said: Sequence[Point]) -> Point:
    """A click for a mask that is right already: the last one, or the target's first pixel."""
    if said:
        return said[-1]
    row, column = np.argwhere(target)[0]
    return Point(int(row), int(column), True)


def _loss(logits: Tensor, quality: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy and soft Dice of the mask, and the error of the predicted IoU."""
    sure = logits.sigmoid()
    overlap = (sure * truth).sum((1, 2))
    soft_dice = 1 - (2 * overlap + 1) / (sure.sum((1, 2)) + truth.sum((1, 2)) + 1)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth)
    with torch.no_grad():
        found = logits > 0
        both = (found * truth).sum((1, 2))
        iou = both / (found.sum((1, 2)) + truth.sum((1, 2)) - both).clamp_min(1)
    return soft_dice.mean() + entropy + QUALITY_WEIGHT * functional.mse_loss(quality, iou)


def _dice(found: Tensor, truth: Tensor) -> Tensor:
    return 2 * (found * truth).sum((1, 2)) / (found.sum((1, 2)) + truth.sum((1, 2))).clamp_min(1)
