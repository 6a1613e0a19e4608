"""Words for what an annotator sees, from measured facts.

The scripted annotator explains each click with facts that can be read off the picture: where
the target lies, how large it is, which part a mask misses and where it spills. The wording is
ours and varied, so that a model that learns from it does not learn one sentence by heart.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np

from ibisagent.tools.base import Mask

SMALL, LARGE = 0.01, 0.10
"""Shares of the picture below and above which a target is called small or large."""

_ROWS = ("upper", "middle", "lower")
_COLUMNS = ("left", "centre", "right")

_FIRST = (
    "The {target} is {size} and lies in the {place} of the image. I click inside it.",
    "I see the {target} in the {place}, {size}. I click inside it.",
    "Nothing is marked yet. The {target} is in the {place}, {size}. I click on it.",
)
_MISSED = (
    "The mask misses the {place} part of the {target}. I add it.",
    "Part of the {target} is not covered in the {place}. I add it.",
)
_SPILLED = (
    "The mask spills over the {target} in the {place}. I remove it.",
    "In the {place} the mask covers more than the {target}. I remove it.",
)
_ELSEWHERE = (
    "The mask is not on the {target}, which lies in the {place}. I click on it.",
    "That was wrong: the {target} is in the {place}. I click there.",
)
_DONE = (
    "The mask fits the {target}. I stop.",
    "The {target} is covered well. I stop.",
)
_ABSENT = (
    "I see no {target} in this image. I stop.",
    "The {target} is not in this image. I stop.",
)
_ANSWER_DONE = "The {target} is in the {place} of the image, {size}."
_ANSWER_ABSENT = "There is no {target} in this image."


@dataclass(frozen=True)
class Facts:
    """What can be said of a region: its name, where it lies and how large it is."""

    target: str
    place: str
    size: str

    @classmethod
    def of(cls, region: Mask, target: str) -> Facts:
        """Measure a region, axes (row, column); an empty one has no place."""
        share = float(region.mean())
        size = "small" if share < SMALL else "large" if share > LARGE else "medium sized"
        return cls(target, place(region), size)


def place(region: Mask) -> str:
    """The ninth of the picture that holds the region's centre of mass, in words."""
    if not region.any():
        return "nowhere"
    pixels = zip(np.nonzero(region), region.shape, strict=True)
    centre = [(axis.mean() + 0.5) / size for axis, size in pixels]
    row, column = (min(int(3 * value), 2) for value in centre)
    if row == 1 and column == 1:
        return "centre"
    return _COLUMNS[column] if row == 1 else f"{_ROWS[row]} {_COLUMNS[column]}"


def first_thought(facts: Facts, rng: Random) -> str:
    """Nothing is marked and the target was found."""
    return _fill(rng.choice(_FIRST), facts)


def missed_thought(facts: Facts, rng: Random) -> str:
    """The mask misses a part; `facts.place` is that part's."""
    return _fill(rng.choice(_MISSED), facts)


def spilled_thought(facts: Facts, rng: Random) -> str:
    """The mask covers too much; `facts.place` is the surplus part's."""
    return _fill(rng.choice(_SPILLED), facts)


def elsewhere_thought(facts: Facts, rng: Random) -> str:
    """The mask does not touch the target at all."""
    return _fill(rng.choice(_ELSEWHERE), facts)


def done_thought(facts: Facts, rng: Random) -> str:
    """The mask is good enough."""
    return _fill(rng.choice(_DONE), facts)


def absent_thought(target: str, rng: Random) -> str:
    """The target is not in the image."""
    return _fill(rng.choice(_ABSENT), Facts(target, "", ""))


def answer(facts: Facts) -> str:
    """Closing sentence for a target that was segmented."""
    return _fill(_ANSWER_DONE, facts)


def absent_answer(target: str) -> str:
    """Closing sentence for a target that is not there."""
    return _fill(_ANSWER_ABSENT, Facts(target, "", ""))


def _fill(template: str, facts: Facts) -> str:
    return template.format(target=facts.target, place=facts.place, size=facts.size)
