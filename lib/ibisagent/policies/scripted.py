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
from ibisagent.policies.wording import SHORT, Wording
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
    wording: Wording = SHORT,
) -> Reply:
    """What a skilled annotator would write, given the truth and the present mask.

    Args:
        truth: The target, axes (row, column).
        mask: The present mask, of the same shape.
        target: The target's name.
        stop_iou: IoU in (0, 1] from which the mask is good enough.
        words: Varies the wording; None for a fixed one.
        spread: Varies the click's position; None for the deepest point.
        wording: The choice of words.
    """
    words = words or Random(0)
    if not truth.any() and not mask.any():
        thought = narration.absent_thought(target, words, wording)
        return Reply(thought, Terminate(), narration.absent_answer(target))
    if iou(mask, truth) >= stop_iou:
        return finish(truth, target, words, wording)
    click, region = next_click(truth, mask, spread)
    thought = explain(truth, mask, region, click.positive, target, words, wording)
    return Reply(thought, click)


def finish(truth: Mask, target: str, rng: Random, wording: Wording = SHORT) -> Reply:
    """The reply that ends an episode whose mask is good enough."""
    facts = narration.Facts.of(truth, target)
    return Reply(narration.done_thought(facts, rng, wording), Terminate(), narration.answer(facts))


def next_click(
    truth: Mask, mask: Mask, rng: Random | None = None, largest: bool = False
) -> tuple[Click, Mask]:
    """The click that corrects the larger error, and the error region it lies in.

    Args:
        truth: The target, axes (row, column).
        mask: The present mask; must differ from the truth.
        rng: Draws the point among those nearly as deep as the deepest; None for the deepest.
        largest: Whether to look in the largest part of the larger error only, and not in the
            deepest.
    """
    missed, spilled = truth & ~mask, mask & ~truth
    positive = bool(depth_of(missed).max() >= depth_of(spilled).max())
    error = missed if positive else spilled
    if largest:
        error = largest_part(error)
    row, column = deep_point(error, rng)
    components, _ = ndimage.label(error)
    height, width = truth.shape
    click = Click.from_pixel(row, column, height, width, positive)
    return click, components == components[row, column]


def largest_part(region: Mask) -> Mask:
    """The connected part of a region with the most pixels."""
    components, count = ndimage.label(region)
    if count < 2:
        return region
    sizes = np.bincount(components.ravel())[1:]
    return np.asarray(components == int(sizes.argmax()) + 1, dtype=bool)


def depth_of(region: Mask) -> NDArray[np.float64]:
    """Distance in pixels to the region's border; the picture's edge counts as border."""
    depth = ndimage.distance_transform_edt(np.pad(region, 1))
    return np.asarray(depth[1:-1, 1:-1], dtype=np.float64)


def deep_point(region: Mask, rng: Random | None = None) -> tuple[int, int]:
    """A pixel (row, column) deep in a region.

    Args:
        region: Not empty, axes (row, column).
        rng: Draws the point among those nearly as deep as the deepest; None for the deepest.
    """
    depth = depth_of(region)
    if rng is None:
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    else:
        candidates = np.argwhere(depth >= NEAR_CENTRE * depth.max())
        row, column = candidates[rng.randrange(len(candidates))]
    return int(row), int(column)


def explain(
    truth: Mask,
    mask: Mask,
    region: Mask,
    positive: bool,
    target: str,
    rng: Random,
    wording: Wording = SHORT,
) -> str:
    """The thought for a click that corrects an error.

    Args:
        truth: The target, axes (row, column).
        mask: The present mask.
        region: The error that is corrected.
        positive: The click's sign.
        target: The target's name.
        rng: Draws the words.
        wording: The choice of words.
    """
    if not mask.any():
        return narration.first_thought(narration.Facts.of(truth, target), rng, wording)
    if positive and not (mask & truth).any():
        return narration.elsewhere_thought(narration.Facts.of(region, target), rng, wording)
    if positive:
        facts = narration.Facts.missing(region, truth, target)
        return narration.missed_thought(facts, rng, wording)
    return narration.spilled_thought(narration.Facts.surplus(region, truth, target), rng, wording)
