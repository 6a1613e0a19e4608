"""Which of several masks did the annotator mean?

Each candidate is judged by the *change* it makes to the mask that the annotator saw, so that one
rule serves a first click (the change is the whole mask) and every correction after it:

- the click should be the deepest point of what is wrong (that is where simulated annotators
  click, and roughly where people do): `centrality`;
- the model should be sure: the mask hardly moves with the threshold (`stability`, as in
  segment-anything's mask generator) and the model predicts a high IoU;
- other candidates, from other boxes, should make much the same change: `agreement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ibisagent.tools.base import Mask
from ibisagent.tools.click_consistency import Logits, Point, depth

SHARPNESS = 2.5
"""How strictly clicks are taken as centres: exponent of the centrality. With 1 the model's own
scores outweigh the click, and one correction in six made the mask worse, against one in eleven;
2 to 4 measured alike (34 targets of 17 data sets)."""

PEERS = 3
"""Number of similar candidates that a mask needs for full agreement: neighbours in box size."""


@dataclass(frozen=True)
class Candidate:
    """A mask that might be meant.

    Attributes:
        logits: Axes (row, column).
        stability: From `stability`, in [0, 1].
        quality: IoU that the model predicts for the mask, in [0, 1].
    """

    logits: Logits
    stability: float
    quality: float


def choose(candidates: Sequence[Candidate], before: Mask, click: Point) -> tuple[Logits, float]:
    """The most plausible candidate and its plausibility in [0, 1].

    Args:
        candidates: At least one.
        before: The mask that the annotator saw.
        click: The click that it provoked.
    """
    masks = np.stack([candidate.logits > 0 for candidate in candidates])
    agreed = agreement(masks ^ before)
    plausible = [
        centrality(mask, before, click) ** SHARPNESS
        * (candidate.stability + candidate.quality + agreed[i])
        / 3
        for i, (mask, candidate) in enumerate(zip(masks, candidates, strict=True))
    ]
    best = int(np.argmax(plausible))
    return candidates[best].logits, float(plausible[best])


def centrality(after: Mask, before: Mask, click: Point) -> float:
    """How well a click fits to someone who saw `before` and wants `after`, in [0, 1].

    The depth of the error under the click, as a fraction of the deepest error anywhere.
    """
    missing, excess = after & ~before, before & ~after
    clicked, other = (missing, excess) if click.positive else (excess, missing)
    depths = depth(clicked)
    deepest = max(depths.max(), depth(other).max())
    return float(depths[click.pixel] / deepest) if deepest > 0 else 0.0


def agreement(changes: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean IoU of each change with its most similar others, in [0, 1].

    Args:
        changes: Axes (candidate, row, column).
    """
    flat = changes.reshape(len(changes), -1).astype(np.float32)
    common = flat @ flat.T
    areas = common.diagonal()
    ious = common / np.maximum(areas[:, None] + areas - common, 1)
    np.fill_diagonal(ious, 0)
    closest: NDArray[np.float32] = np.sort(ious, axis=1)[:, -PEERS:].mean(axis=1)
    return closest


def stability(logits: Logits) -> float:
    """IoU of the masks at thresholds one logit above and below the usual, in [0, 1]."""
    return float((logits > 1).sum() / max(1, (logits > -1).sum()))
