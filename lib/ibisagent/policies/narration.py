"""Words for what an annotator sees, from measured facts.

The scripted annotator explains each click with facts that can be read off the picture: where
the target lies, how large it is, which part a mask misses and where it spills. The wording is
ours and varied, so that a model that learns from it does not learn one sentence by heart. No
number of a measure is told: a model that sees the picture cannot read an IoU off it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from ibisagent.policies.wording import ANSWER_ABSENT, ANSWER_DONE, SHORT, Texts, Wording
from ibisagent.tools.base import Mask

SMALL, LARGE = 0.01, 0.10
"""Shares of the picture below and above which a target is called small or large."""

_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "centre", "right")


@dataclass(frozen=True)
class Facts:
    """What can be said of a region: its name, where it lies and how large it is.

    Attributes:
        target: The target's name.
        place: A ninth of the picture, in words.
        size: Of the region, beside the picture.
        amount: Of the region, beside the target; see `missing` and `surplus`.
    """

    target: str
    place: str
    size: str
    amount: str = "a part"

    @classmethod
    def of(cls, region: Mask, target: str) -> Facts:
        """Measure a region, axes (row, column); an empty one has no place."""
        return cls(target, place(region), size_of(float(region.mean())))

    @classmethod
    def missing(cls, part: Mask, truth: Mask, target: str) -> Facts:
        """Of a part of the target that the mask lacks."""
        return replace(cls.of(part, target), amount=_of_size(part, truth, _PARTS))

    @classmethod
    def surplus(cls, part: Mask, truth: Mask, target: str) -> Facts:
        """Of what the mask covers beside the target."""
        return replace(cls.of(part, target), amount=_of_size(part, truth, _SPILLS))


def size_of(share: float) -> str:
    """A share of the picture, in words."""
    return "small" if share < SMALL else "large" if share > LARGE else "medium sized"


_PARTS = ((0.1, "a small part"), (0.35, "a part"), (0.65, "about half"), (math.inf, "most"))
_SPILLS = ((0.1, "a little"), (0.5, "clearly"), (math.inf, "far"))
"""Words for a share of the target's size, each up to its number."""


def _of_size(part: Mask, truth: Mask, scale: tuple[tuple[float, str], ...]) -> str:
    share = part.sum() / max(int(truth.sum()), 1)
    return next(word for bound, word in scale if share < bound)


def place(region: Mask) -> str:
    """The ninth of the picture that holds the region's centre of mass, in words."""
    if not region.any():
        return "nowhere"
    pixels = zip(np.nonzero(region), region.shape, strict=True)
    return place_at(*((axis.mean() + 0.5) / size for axis, size in pixels))


def place_at(down: float, across: float) -> str:
    """The ninth of the picture that holds a point, in words.

    Args:
        down: From the upper edge, as a share of the height.
        across: From the left edge, as a share of the width.
    """
    row, column = (min(int(3 * value), 2) for value in (down, across))
    if row == 1 and column == 1:
        return "centre"
    return _COLUMNS[column] if row == 1 else f"{_ROWS[row]} {_COLUMNS[column]}"


def first_thought(facts: Facts, rng: Random, wording: Wording = SHORT) -> str:
    """Nothing is marked and the target was found."""
    return _say(wording.first, facts, rng)


def missed_thought(facts: Facts, rng: Random, wording: Wording = SHORT) -> str:
    """The mask misses a part; the facts are that part's."""
    return _say(wording.missed, facts, rng)


def spilled_thought(facts: Facts, rng: Random, wording: Wording = SHORT) -> str:
    """The mask covers too much; the facts are those of the surplus."""
    return _say(wording.spilled, facts, rng)


def elsewhere_thought(facts: Facts, rng: Random, wording: Wording = SHORT) -> str:
    """The mask does not touch the target at all."""
    return _say(wording.elsewhere, facts, rng)


def done_thought(facts: Facts, rng: Random, wording: Wording = SHORT) -> str:
    """The mask is good enough."""
    return _say(wording.done, facts, rng)


def absent_thought(target: str, rng: Random, wording: Wording = SHORT) -> str:
    """The target is not in the image."""
    return _say(wording.absent, Facts(target, "", ""), rng)


def hasty_thought(target: str, positive: bool, rng: Random, wording: Wording = SHORT) -> str:
    """Someone is about to place a point wrongly."""
    texts = wording.hasty if positive else wording.hasty_cut
    return _say(texts, Facts(target, "", ""), rng)


def noticed_thought(facts: Facts, positive: bool, rng: Random, wording: Wording = SHORT) -> str:
    """The last point was wrong; the facts are those of what it spoilt.

    Args:
        facts: Of what was added or taken away by mistake.
        positive: Whether the wrong point was positive.
        rng: Draws the words.
        wording: The choice of words.
    """
    return _say(wording.outside if positive else wording.inside, facts, rng)


def discarded_thought(facts: Facts, positive: bool, rng: Random, wording: Wording = SHORT) -> str:
    """The user's starting mask is not the target, whose facts these are.

    Args:
        facts: Of the target.
        positive: Whether the next point is positive, on the target, or takes the mask away.
        rng: Draws the words.
        wording: The choice of words.
    """
    return _say(wording.given_wrong if positive else wording.given_wrong_cut, facts, rng)


def discarded_absent_thought(facts: Facts, rng: Random, wording: Wording = SHORT) -> str:
    """There is a starting mask, whose facts these are, but no target."""
    return _say(wording.given_absent, facts, rng)


def enough_thought(facts: Facts, rng: Random, wording: Wording = SHORT) -> str:
    """The mask is not perfect, but points do not make it better."""
    return _say(wording.enough, facts, rng)


def answer(facts: Facts) -> str:
    """Closing sentence for a target that was segmented."""
    return _fill(ANSWER_DONE, facts)


def absent_answer(target: str) -> str:
    """Closing sentence for a target that is not there."""
    return _fill(ANSWER_ABSENT, Facts(target, "", ""))


def yes_answer(facts: Facts, rng: Random, wording: Wording = SHORT) -> str:
    """Answer to whether the target is there, which it is."""
    return _say(wording.yes, facts, rng)


def no_answer(target: str, rng: Random, wording: Wording = SHORT) -> str:
    """Answer to whether the target is there, which it is not."""
    return _say(wording.no, Facts(target, "", ""), rng)


def _say(texts: Texts, facts: Facts, rng: Random) -> str:
    return " ".join(_fill(rng.choice(versions), facts) for versions in texts)


def _fill(template: str, facts: Facts) -> str:
    return template.format(
        target=facts.target,
        place=facts.place,
        size=facts.size,
        amount=facts.amount,
        Amount=facts.amount.capitalize(),
    )
