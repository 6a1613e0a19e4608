"""How people ask for a target: the prompts that simulated trajectories start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

_PHRASES = (
    "the {target}",
    "the {target}",
    "{target}",
    "segment the {target}",
    "outline the {target}",
    "find the {target}",
    "where is the {target}?",
    "is there a {target}?",
    "please mark the {target}",
)


def ask(target: str, synonyms: Mapping[str, Sequence[str]], rng: Random) -> str:
    """A prompt for a target, in varied words.

    Args:
        target: The target's name in the catalogue.
        synonyms: Other words for targets.
        rng: Draws the words.
    """
    return rng.choice(_PHRASES).format(target=rng.choice(names(target, synonyms)))


def names(target: str, synonyms: Mapping[str, Sequence[str]]) -> list[str]:
    """All names of a target: as catalogued, with the side in front, and its synonyms."""
    words = target.split()
    sided = [f"{words[-1]} {' '.join(words[:-1])}"] if words[-1] in ("left", "right") else []
    # The natural order is the commoner one among people; the catalogued one among label files.
    return [target, *sided, *sided, *synonyms.get(target, ())]


def phrases(target: str, synonyms: Mapping[str, Sequence[str]]) -> list[str]:
    """Every prompt that `ask` can write for a target."""
    return sorted({p.format(target=name) for p in _PHRASES for name in names(target, synonyms)})
