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

_REQUESTS = (
    "the {target}",
    "{target}",
    "segment the {target}",
    "outline the {target}",
    "find the {target}",
    "please mark the {target}",
    "show me the {target}",
    "I need the {target}",
)
_WHETHER = (
    "is there {a} {target}?",
    "is the {target} visible?",
    "do you see {a} {target}?",
    "can the {target} be seen here?",
    "does this image show {a} {target}?",
)


def request(name: str, rng: Random) -> str:
    """A prompt that takes for granted that the target is there."""
    return rng.choice(_REQUESTS).format(target=name)


def whether(name: str, rng: Random) -> str:
    """A prompt that asks whether the target is there."""
    article = "an" if name[:1].lower() in "aeio" else "a"
    return rng.choice(_WHETHER).format(target=name, a=article)


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
