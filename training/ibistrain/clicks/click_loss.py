"""How wrong masks are, each by itself, in the part of the square that is picture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

QUALITY_WEIGHT = 0.3
"""Of the predicted IoU's squared error beside the mask's loss."""


def click_loss(logits: Tensor, quality: Tensor, targets: Tensor, inside: Tensor) -> Tensor:
    """Cross-entropy and soft Dice of each mask, and the error of its predicted IoU.

    Args:
        logits: Axes (mask, row, column).
        quality: Predicted IoU, axis (mask).
        targets: What is wanted, bool, as `logits`; nothing outside the picture.
        inside: Where the picture is, of the same form.

    Returns:
        Axis (mask).
    """
    truth = targets.float()
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    entropy = (entropy * inside).sum((1, 2)) / inside.sum((1, 2))
    sure = logits.sigmoid() * inside
    overlap = (sure * truth).sum((1, 2))
    soft_dice = 1 - (2 * overlap + 1) / (sure.sum((1, 2)) + truth.sum((1, 2)) + 1)
    with torch.no_grad():
        found = (logits > 0) & inside
        both = (found & targets).sum((1, 2))
        iou = both / (found | targets).sum((1, 2)).clamp_min(1)
    return soft_dice + entropy + QUALITY_WEIGHT * (quality - iou) ** 2


def dice(found: Tensor, targets: Tensor) -> Tensor:
    """Dice of masks, axes (mask, row, column), with their targets; axis (mask)."""
    both = 2 * (found & targets).sum((1, 2))
    return both / (found.sum((1, 2)) + targets.sum((1, 2))).clamp_min(1)
