"""The scripted annotator: a policy that knows the truth.

It makes training data and serves as a test double and as the upper bound of what clicks can do
with a tool. It clicks at the deepest point of the larger error region, as interactive
segmentation is simulated since Sofiiuk et al. (arXiv 2102.06583), and stops when the mask is
good enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ibisagent.actions import Click, Reply, Terminate, format_reply
from ibisagent.metrics import iou
from ibisagent.policies import narration
from ibisagent.policies.base import Cancelled, Observation, never
from ibisagent.tools.base import Mask

NEAR_CENTRE = 0.7
"""Share of the greatest depth from which a randomised click is drawn."""


class ScriptedAnnotator:
    """Clicks on the largest error until the mask fits the truth.

    Args:
        truth: The target, axes (row, column); empty for a target that is not there.
        target: The target's name, for the thoughts.
        stop_iou: IoU in (0, 1] from which the mask is good enough.
        rng: Varies words and click positions; None for the deepest point and fixed words.
    """

    name = "scripted-annotator"

    def __init__(
        self, truth: Mask, target: str, stop_iou: float = 0.85, rng: Random | None = None
    ) -> None:
        self._truth = truth
        self._target = target
        self._stop_iou = stop_iou
        self._rng = rng

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        """One reply an observation, all judged against the same truth."""
        return [
            format_reply(
                annotate(self._truth, seen.mask, self._target, self._stop_iou, self._rng, self._rng)
            )
            for seen in observations
        ]


def annotate(
    truth: Mask,
    mask: Mask,
    target: str,
    stop_iou: float = 0.85,
    words: Random | None = None,
    spread: Random | None = None,
) -> Reply:
    """What a skilled annotator would write, given the truth and the present mask.

    Args:
        truth: The target, axes (row, column).
        mask: The present mask, of the same shape.
        target: The target's name.
        stop_iou: IoU in (0, 1] from which the mask is good enough.
        words: Varies the wording; None for a fixed one.
        spread: Varies the click's position; None for the deepest point.
    """
    words = words or Random(0)
    if not truth.any() and not mask.any():
        thought = narration.absent_thought(target, words)
        return Reply(thought, Terminate(), narration.absent_answer(target))
    if iou(mask, truth) >= stop_iou:
        return finish(truth, target, words)
    click, region = next_click(truth, mask, spread)
    return Reply(_thought(truth, mask, region, click.positive, target, words), click)


def finish(truth: Mask, target: str, rng: Random) -> Reply:
    """The reply that ends an episode whose mask is good enough."""
    facts = narration.Facts.of(truth, target)
    return Reply(narration.done_thought(facts, rng), Terminate(), narration.answer(facts))


def next_click(truth: Mask, mask: Mask, rng: Random | None = None) -> tuple[Click, Mask]:
    """The click that corrects the larger error, and the error region it lies in.

    Args:
        truth: The target, axes (row, column).
        mask: The present mask; must differ from the truth.
        rng: Draws the point among those nearly as deep as the deepest; None for the deepest.
    """
    missed, spilled = _depth(truth & ~mask), _depth(mask & ~truth)
    positive = bool(missed.max() >= spilled.max())
    depth = missed if positive else spilled
    row, column = _pick(depth, rng)
    components, _ = ndimage.label(depth > 0)
    height, width = truth.shape
    click = Click.from_pixel(row, column, height, width, positive)
    return click, components == components[row, column]


def _depth(region: Mask) -> NDArray[np.float64]:
    """Distance in pixels to the region's border; the picture's edge counts as border."""
    depth = ndimage.distance_transform_edt(np.pad(region, 1))
    return np.asarray(depth[1:-1, 1:-1], dtype=np.float64)


def _pick(depth: NDArray[np.float64], rng: Random | None) -> tuple[int, int]:
    if rng is None:
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    else:
        candidates = np.argwhere(depth >= NEAR_CENTRE * depth.max())
        row, column = candidates[rng.randrange(len(candidates))]
    return int(row), int(column)


def _thought(
    truth: Mask, mask: Mask, region: Mask, positive: bool, target: str, rng: Random
) -> str:
    if not mask.any():
        return narration.first_thought(narration.Facts.of(truth, target), rng)
    facts = narration.Facts.of(region, target)
    if positive and not (mask & truth).any():
        return narration.elsewhere_thought(facts, rng)
    if positive:
        return narration.missed_thought(facts, rng)
    return narration.spilled_thought(facts, rng)
