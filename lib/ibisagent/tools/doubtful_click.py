"""A second opinion on a first click.

Where the decoder that follows clicks predicts a bad mask, the one that follows boxes is asked as
well: with squares of many sizes around the click, of whose masks `mask_choice` takes the most
plausible. That helps in large even regions, of which the first mask covers a part only. Elsewhere
it mostly makes worse masks than those that it would replace, so it may answer only with large
ones that are more plausible, and not with something quite different.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ibisagent.tools.click_boxes import first_boxes
from ibisagent.tools.click_consistency import Logits, Point
from ibisagent.tools.litemedsam_net import LiteMedSAMNet
from ibisagent.tools.mask_choice import Candidate, choose, stability

DOUBTFUL = 0.35
"""Predicted IoU below which a first mask is reconsidered."""
LARGE = 0.1
"""Share of the picture that a mask from boxes must cover to be taken."""
GROWTH = 5.0
"""Times the area of the doubtful mask that it may cover at most."""
BATCH = 4
"""Boxes decoded at once. On a processor larger batches are slower: their tensors leave the
caches."""


def reconsider(
    net: LiteMedSAMNet,
    embedding: Tensor,
    inner: tuple[int, int],
    click: Point,
    doubtful: tuple[Logits, float],
) -> tuple[Logits, float]:
    """The most plausible of the masks that boxes give, and its plausibility in [0, 1].

    It is taken where it is `LARGE`, within `GROWTH`, and more plausible than the doubtful one.

    Args:
        net: With its own weights, which follow boxes.
        embedding: Of the image.
        inner: (height, width) of the image in the square.
        click: Positive, in pixels of the square.
        doubtful: Logits of the square and their predicted IoU; returned where no other is taken.
    """
    height, width = inner
    boxes = first_boxes(click, inner)
    candidates = []
    for first in range(0, len(boxes), BATCH):
        logits, quality = net.decode_boxes(embedding, boxes[first : first + BATCH])
        for one, iou in zip(logits.numpy(), quality.clamp(0, 1).tolist(), strict=True):
            found = np.ascontiguousarray(one[:height, :width])
            candidates.append(Candidate(found, stability(found), iou))
    nothing = np.zeros(inner, dtype=bool)
    best, plausibility = choose(candidates, nothing, click)
    mask, score = doubtful
    area, before = ((one > 0).mean() for one in (best, mask[:height, :width]))
    if not LARGE <= area <= GROWTH * before or plausibility <= score:
        return doubtful
    square: NDArray[np.float32] = mask.copy()
    square[:height, :width] = best
    return square, plausibility
