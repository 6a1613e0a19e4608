"""How good a mask is.

All masks are boolean arrays of equal shape, 2D (row, column) or 3D (k, j, i). Two empty masks
agree perfectly and score 1; an empty mask against a non-empty one scores 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

BoolArray = NDArray[np.bool_]


def iou(prediction: BoolArray, truth: BoolArray) -> float:
    """Intersection over union, the Jaccard index (Jaccard 1912), in [0, 1]."""
    union = int(np.count_nonzero(prediction | truth))
    return int(np.count_nonzero(prediction & truth)) / union if union else 1.0


def dice(prediction: BoolArray, truth: BoolArray) -> float:
    """Dice similarity coefficient (Dice 1945), in [0, 1]."""
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
    return 2 * int(np.count_nonzero(prediction & truth)) / total if total else 1.0


def nsd(
    prediction: BoolArray, truth: BoolArray, tolerance: float, spacing: Sequence[float]
) -> float:
    """Normalised surface Dice: share of both surfaces within a tolerance of each other.

    Nikolov et al., arXiv 1809.04430; computed by MONAI.

    Args:
        prediction: Mask to judge.
        truth: Reference mask.
        tolerance: Distance in mm that still counts as agreement.
        spacing: Size of a voxel in mm, in the order of the mask's axes.
    """
    if not prediction.any() or not truth.any():
        return float(prediction.any() == truth.any())
    from monai.metrics.surface_dice import compute_surface_dice  # MONAI and torch load slowly

    value = compute_surface_dice(
        _batch(prediction), _batch(truth), [tolerance], include_background=True, spacing=[*spacing]
    )
    return float(value.item())


def noc(ious: Sequence[float], threshold: float, limit: int) -> int:
    """Number of clicks until the IoU reaches a threshold (NoC; Sofiiuk et al. 2022).

    Args:
        ious: IoU after each click, first click first.
        threshold: IoU to reach, in [0, 1].
        limit: Number counted for a sequence that never reaches it.
    """
    reached = (index for index, value in enumerate(ious, start=1) if value >= threshold)
    return min(next(reached, limit), limit)


def entity_f1(pairs: Iterable[tuple[BoolArray, BoolArray]], threshold: float = 0.5) -> float:
    """F1 of masks taken as detected entities (arXiv 2601.03054, section 4).

    A prediction is a true positive where its IoU with the truth reaches the threshold; otherwise
    a non-empty prediction is a false positive and a non-empty truth a false negative.

    Args:
        pairs: (prediction, truth), one pair an entity asked for.
        threshold: IoU in (0, 1] from which a prediction counts as found.

    Returns:
        F1 in [0, 1]; 1 where nothing was there and nothing was found.
    """
    found = spurious = missed = 0
    for prediction, truth in pairs:
        if truth.any() and iou(prediction, truth) >= threshold:
            found += 1
            continue
        spurious += int(prediction.any())
        missed += int(truth.any())
    total = 2 * found + spurious + missed
    return 2 * found / total if total else 1.0


def _batch(mask: BoolArray) -> torch.Tensor:
    """Axes (batch, channel, ...); a copy, since torch takes no flipped or read-only views."""
    import torch

    return torch.from_numpy(mask.astype(np.float32, order="C"))[None, None]
