"""Training examples: a picture in one random form, with questions and the right replies.

An example is made afresh each time it is drawn. The picture, its labels and the mask of the
moment are warped together, and the scripted annotator is asked what it would do now; so a
simulated state gives right answers in every pose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from ibisagent.actions import Click, Reply, format_reply
from ibisagent.metrics import iou
from ibisagent.overlay import overlay
from ibisagent.policies.scripted import annotate, finish
from ibisagent.prompts import PromptProfile
from ibisagent.tools.base import RGB, Mask
from ibistrain.augment import Layer, recolour, warp
from ibistrain.clicks.repaint import repaint
from ibistrain.corpus import LabelledPicture
from ibistrain.questions import ask
from ibistrain.states import State

STOP_IOU = 0.7
"""IoU from which the annotator of the training examples is satisfied."""
QUESTIONS = 7
"""Most questions about one picture; they share its embedding, so they are nearly free."""
ABSENT = 0.35
"""Chance that one of the questions asks for something that is not there. A small model that is
asked for absent things half of the time says "absent" whenever it is unsure."""
REPAINTED, MANY_LABELS = 0.2, 5
"""Share of the pictures with more labels than that which are painted in contrasts of our own."""


@dataclass(frozen=True, eq=False)
class Turn:
    """One question about a picture and the reply to learn.

    Attributes:
        question: The user's side, as the prompt profile writes it.
        reply: The canonical reply.
        region: Where to look while replying, axes (row, column); None where there is nothing.
    """

    question: str
    reply: str
    region: Mask | None


@dataclass(frozen=True, eq=False)
class Example:
    """A picture as the policy sees it, and independent questions about it.

    Attributes:
        picture: With overlay where a mask is shown, axes (row, column, channel), uint8.
        turns: Questions that know nothing of each other.
        mask: The mask that is overlaid; empty at a first turn.
        organs: Every target that this picture's labels answer for -> its mask.
    """

    picture: RGB
    turns: list[Turn]
    mask: Mask
    organs: Mapping[str, Mask]


class ExampleMaker:
    """Makes examples from labelled pictures and simulated states.

    Args:
        profile: Words and overlay.
        synonyms: Other words for targets.
        strength: Of the augmentation, 0 for none.
        questions: Most questions about one picture; with 0, examples only show.
    """

    def __init__(
        self,
        profile: PromptProfile,
        synonyms: Mapping[str, Sequence[str]],
        strength: float = 1.0,
        questions: int = QUESTIONS,
    ) -> None:
        self._profile = profile
        self._synonyms = synonyms
        self._strength = strength
        self._questions = questions

    def first(self, picture: LabelledPicture, rng: Random) -> Example:
        """Several questions on an untouched picture."""
        rgb, (labels,), organs = self._seen(picture, [], rng)
        blank = np.zeros(labels.shape, bool)
        asked = _draw(picture, organs, self._questions, rng)
        turns = [self._turn(target, organs[target], blank, False, rng) for target in asked]
        return Example(rgb, turns, blank, organs)

    def refinement(self, picture: LabelledPicture, state: State, rng: Random) -> Example:
        """One question on a picture that already carries a mask."""
        rgb, (_, flat), organs = self._seen(picture, [state.mask.astype(np.uint8)], rng)
        mask = flat.astype(bool)
        seen = overlay(rgb, mask, self._profile.overlay_colour, self._profile.overlay_alpha)
        truth = organs[state.target]
        turns = [self._turn(state.target, truth, mask, state.settled, rng)]
        return Example(seen, turns[: self._questions], mask, organs)

    def _seen(
        self, picture: LabelledPicture, layers: list[Layer], rng: Random
    ) -> tuple[RGB, list[Layer], dict[str, Mask]]:
        """The picture in one random form, its labels and `layers` with it, and its targets."""
        rgb, strength = picture.rgb, self._strength
        many = len(np.unique(picture.labels)) > MANY_LABELS
        if many and strength > 0 and rng.random() < REPAINTED:
            rgb = repaint(rgb, picture.labels, rng)
        rgb, moved = warp(rgb, [picture.labels, *layers], rng, picture.flip, strength)
        organs = {name: picture.truth(name, moved[0]) for name in picture.targets}
        return recolour(rgb, rng, strength), moved, organs

    def _turn(self, target: str, truth: Mask, mask: Mask, settled: bool, rng: Random) -> Turn:
        if settled and truth.any() and mask.any():
            reply = finish(truth, target, rng)
        else:
            reply = annotate(truth, mask, target, STOP_IOU, rng)
        prompt = ask(target, self._synonyms, rng)
        question = self._profile.turn_text(prompt, first=not mask.any())
        return Turn(question, format_reply(reply), _region(reply, truth, mask))


def _draw(
    picture: LabelledPicture, organs: Mapping[str, Mask], most: int, rng: Random
) -> list[str]:
    """Targets to ask for: some that are there, now and then one that is not."""
    if most == 0:
        return []
    present = [name for name in picture.present if organs[name].any()]
    absent = [name for name, mask in organs.items() if not mask.any()]
    chosen = rng.sample(present, min(len(present), most))
    if absent and (rng.random() < ABSENT or not chosen):
        chosen = [*chosen[: most - 1], rng.choice(absent)]
    return chosen or [rng.choice(list(organs))]


def _region(reply: Reply, truth: Mask, mask: Mask) -> Mask | None:
    """The error region that a click answers, restricted to the click's polarity."""
    if not isinstance(reply.action, Click):
        return None
    region = truth & ~mask if reply.action.positive else mask & ~truth
    return region if region.any() else None


def state_is_good(mask: Mask, truth: Mask) -> bool:
    """Whether the annotator of the examples would stop."""
    return iou(mask, truth) >= STOP_IOU
