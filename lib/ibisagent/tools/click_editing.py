"""Clicks made to work, one at a time, for a model that only follows boxes.

Training-free: boxes that the click may mean are decoded in one batch, each mask is combined with
the mask so far, and `mask_choice` takes the most plausible. A first click draws the mask; a
later positive click adds to it, a later negative click takes away from it, unless redrawing it
fits better. What the clicks say holds in every candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ibisagent.tools.base import Mask
from ibisagent.tools.click_boxes import Box, first_boxes, grown_boxes, local_boxes, shrunk_boxes
from ibisagent.tools.click_consistency import Logits, Point, depth_at, obey, obeys
from ibisagent.tools.mask_choice import Candidate, choose, stability

Decode = Callable[[Sequence[Box]], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Boxes to logits, axes (box, row, column), and predicted IoU, axis (box)."""

UNSURE = 0.3
"""Stability and predicted IoU granted to an edit that no model proposed (a disc around the
click): less than good masks have, so that it wins only where none fits the click."""

MARGIN = 0.2
"""How far, in logits, a click's pixel is put over the threshold when the threshold moves."""


@dataclass(frozen=True)
class Draft:
    """A mask in the making.

    Attributes:
        logits: Axes (row, column), in pixels of the model's square without its padding.
        score: Estimated IoU with what the annotator wants, in [0, 1].
    """

    logits: Logits
    score: float


def advance(draft: Draft, points: Sequence[Point], decode: Decode) -> Draft:
    """Take the newest click into account.

    Args:
        draft: The mask that the annotator saw when clicking.
        points: All clicks so far, the newest last.
        decode: The model.

    Returns:
        A draft that agrees with all clicks; the same one if it already agreed with the newest.
    """
    before, click = draft.logits > 0, points[-1]
    if obeys(before, click):
        return draft
    candidates = _candidates(draft, before, points, decode)
    older = [replace(c, logits=obey(c.logits, points[:-1])) for c in candidates]
    logits, plausibility = choose(older, before, click)
    return Draft(obey(logits, points), _score(draft, logits > 0, plausibility))


def _candidates(
    draft: Draft, before: Mask, points: Sequence[Point], decode: Decode
) -> list[Candidate]:
    click, size = points[-1], (before.shape[0], before.shape[1])
    if not before.any():
        return _judged(*decode(first_boxes(click, size)))
    whole = _whole_boxes(before, points)
    local = local_boxes(click, _reach(before, click), size)
    logits, quality = decode([*whole, *local])
    n = len(whole)
    return [
        *_judged(logits[:n], quality[:n]),
        *(_combined(draft.logits, c, click) for c in _judged(logits[n:], quality[n:])),
        _moved_threshold(draft.logits, click),
        Candidate(obey(draft.logits, points), UNSURE, UNSURE),
    ]


def _whole_boxes(before: Mask, points: Sequence[Point]) -> list[Box]:
    """Boxes that may hold the whole target: the mask's own, moved, and those of a new start."""
    click, positive = points[-1], [point for point in points if point.positive]
    reach = _reach(before, click)
    if click.positive:
        boxes = grown_boxes(before, click, reach)
    else:
        boxes = shrunk_boxes(before, click, reach, positive)
    start = first_boxes(positive[0], (before.shape[0], before.shape[1])) if positive else []
    return list(dict.fromkeys([*boxes, *start]))


def _reach(before: Mask, click: Point) -> float:
    """Distance from the click to the border of the mask."""
    return depth_at(~before if click.positive else before, click)


def _judged(logits: NDArray[np.float32], quality: NDArray[np.float32]) -> list[Candidate]:
    return [
        Candidate(mask, stability(mask), float(np.clip(iou, 0, 1)))
        for mask, iou in zip(logits, quality, strict=True)
    ]


def _combined(prior: Logits, part: Candidate, click: Point) -> Candidate:
    """The mask so far with a part added or taken away (union, difference)."""
    if click.positive:
        return replace(part, logits=np.maximum(prior, part.logits))
    return replace(part, logits=np.minimum(prior, -part.logits))


def _moved_threshold(prior: Logits, click: Point) -> Candidate:
    """The mask so far, grown or shrunk to where the model was as sure as it was at the click."""
    margin = MARGIN if click.positive else -MARGIN
    moved = prior - prior[click.pixel] + np.float32(margin)
    return Candidate(moved, stability(moved), 0.0)


def _score(draft: Draft, after: Mask, plausibility: float) -> float:
    """Estimated IoU of the mask after a click.

    At first the plausibility of the choice. Later, a mask that a click hardly changes was nearly
    right: the share that survives counts as much as the score so far.
    """
    before = draft.logits > 0
    if not before.any():
        return plausibility
    survived = (before & after).sum() / (before | after).sum()
    return float((draft.score + survived) / 2)
