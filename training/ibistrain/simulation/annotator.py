"""What the simulated annotator does at each turn, and the mistakes it makes on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
from scipy import ndimage

from ibisagent.actions import Click, Reply, Terminate
from ibisagent.metrics import iou
from ibisagent.policies import narration
from ibisagent.policies.narration import Facts
from ibisagent.policies.scripted import deep_point, depth_of, explain, finish, next_click
from ibisagent.policies.wording import VARIED, Wording
from ibisagent.tools.base import Mask

SETTLED = 0.01
"""When two clicks in a row raise the IoU by no more than this, further ones are in vain."""
HARM = 12
HARM_SHARE = 0.02
"""What a wrong click must spoil at least, in pixels and as a share of the target: less, nobody
would notice."""
HELP = 0.05
"""Most that a wrong click may raise the IoU: more, it was not so wrong."""
LARGEST = 0.3
"""Share of clicks that look at the largest part of an error instead of the deepest."""
BESIDE = (0.03, 0.25)
"""How far beside the target a wrong click is placed, as shares of the picture's longer side."""


class SimulatedAnnotator:
    """Knows the truth, varies words and clicks, and errs when told to.

    Args:
        truth: The target, axes (row, column); empty where it is absent.
        target: Its name, as the user says it.
        question: Whether the user asked whether it is there.
        stop_iou: IoU that is good enough.
        rng: Draws words and clicks.
        wording: The choice of words.
    """

    def __init__(
        self,
        truth: Mask,
        target: str,
        question: bool,
        stop_iou: float,
        rng: Random,
        wording: Wording = VARIED,
    ) -> None:
        self._truth = truth
        self._target = target
        self._question = question
        self._stop_iou = stop_iou
        self._rng = rng
        self._wording = wording

    def is_satisfied(self, mask: Mask) -> bool:
        """Whether the mask is good enough: of an absent target, empty."""
        if not self._truth.any():
            return not mask.any()
        return iou(mask, self._truth) >= self._stop_iou

    def has_settled(self, scores: Sequence[float]) -> bool:
        """Whether the last two of several clicks were in vain; IoUs oldest first."""
        return len(scores) > 3 and max(scores[-2:]) <= max(scores[:-2]) + SETTLED

    def correct(self, mask: Mask) -> Reply:
        """Click at the larger error."""
        largest = self._rng.random() < LARGEST
        click, region = next_click(self._truth, mask, self._rng, largest)
        if not self._truth.any():
            facts = Facts.of(mask, self._target)
            thought = narration.discarded_absent_thought(facts, self._rng, self._wording)
            return Reply(thought, click)
        thought = explain(
            self._truth, mask, region, click.positive, self._target, self._rng, self._wording
        )
        return Reply(thought, click)

    def discard(self, mask: Mask) -> Reply:
        """Begin with a user's mask that is not the target."""
        reply = self.correct(mask)
        if not self._truth.any() or not isinstance(reply.action, Click):
            return reply
        facts = Facts.of(self._truth, self._target)
        positive = reply.action.positive
        thought = narration.discarded_thought(facts, positive, self._rng, self._wording)
        return Reply(thought, reply.action)

    def stop(self, mask: Mask) -> Reply:
        """End the episode, satisfied or not."""
        if not self._truth.any():
            return self._deny()
        reply = finish(self._truth, self._target, self._rng, self._wording)
        facts = Facts.of(self._truth, self._target)
        thought, answer = reply.thought, reply.answer
        if not self.is_satisfied(mask):
            thought = narration.enough_thought(facts, self._rng, self._wording)
        if self._question:
            answer = narration.yes_answer(facts, self._rng, self._wording)
        return Reply(thought, Terminate(), answer)

    def err(self, mask: Mask) -> Reply | None:
        """A wrong click: beside the target, or, where the mask covers it, a cut into it."""
        covered = mask & self._truth
        positive = not covered.any() or self._rng.random() < 0.5
        region = self._beside(mask) if positive else covered
        if not region.any():
            return None
        row, column = self._draw(region) if positive else deep_point(region, self._rng)
        height, width = mask.shape
        click = Click.from_pixel(row, column, height, width, positive)
        thought = narration.hasty_thought(self._target, positive, self._rng, self._wording)
        return Reply(thought, click)

    def put_right(self, wrong: Click, before: Mask, after: Mask) -> Reply | None:
        """Notice a wrong click and take it back by one of the other sign.

        Args:
            wrong: The click.
            before: The mask before it.
            after: The mask after it.

        Returns:
            The reply, or None where the click spoilt too little to be noticed, or even helped.
        """
        harm = after & ~before & ~self._truth if wrong.positive else before & self._truth & ~after
        gain = iou(after, self._truth) - iou(before, self._truth)
        least = max(HARM, HARM_SHARE * int(self._truth.sum()))
        if int(harm.sum()) < least or gain > HELP:
            return None
        row, column = deep_point(harm, self._rng)
        parts, _ = ndimage.label(harm)
        facts = Facts.missing(parts == parts[row, column], self._truth, self._target)
        thought = narration.noticed_thought(facts, wrong.positive, self._rng, self._wording)
        height, width = after.shape
        return Reply(thought, Click.from_pixel(row, column, height, width, not wrong.positive))

    def _deny(self) -> Reply:
        thought = narration.absent_thought(self._target, self._rng, self._wording)
        answer = narration.absent_answer(self._target)
        if self._question:
            answer = narration.no_answer(self._target, self._rng, self._wording)
        return Reply(thought, Terminate(), answer)

    def _beside(self, mask: Mask) -> Mask:
        """Background near the target that is not marked."""
        side = max(mask.shape)
        distance = depth_of(~self._truth)
        near = (distance > BESIDE[0] * side) & (distance < BESIDE[1] * side) & ~mask
        return np.asarray(near if near.any() else ~self._truth & ~mask, dtype=bool)

    def _draw(self, region: Mask) -> tuple[int, int]:
        pixels = np.argwhere(region)
        row, column = pixels[self._rng.randrange(len(pixels))]
        return int(row), int(column)
