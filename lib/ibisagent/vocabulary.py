"""What a model has learnt to find, and whether a prompt asks for it.

A large model takes any text. A small one has learnt a list of targets, and a prompt for
something else would get a random mask; it gets a sentence instead. People write one name in many
ways - "Kidney_L", "vertebrae L4", "pituitary tumor", "brain stem" - and all of them are understood.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from ibisagent.errors import UnknownPrompt

Aliases = Mapping[str, Sequence[str]]
"""Target -> other names for it."""

_SIDES = {"l": "left", "lt": "left", "r": "right", "rt": "right"}
_PLURALS = (("brae", "bra"), ("clei", "cleu"), ("ies", "y"), ("s", ""))
_SPELLINGS = (
    ("ae", "e"),
    ("oe", "e"),
    ("disk", "disc"),
    ("gray", "grey"),
    ("leuco", "leuko"),
    ("tumour", "tumor"),
)
_LEVEL = re.compile(r"[a-z]\d{1,2}")
"""A name such as L4 that tells one of many from the others."""


def check_prompt(
    prompt: str,
    targets: Sequence[str],
    aliases: Aliases | None = None,
    anywhere: Collection[str] = (),
) -> None:
    """Refuse a prompt that names none of the targets.

    Args:
        prompt: The user's text.
        targets: Names the model has learnt; empty for a model that takes any text.
        aliases: Other names that are understood.
        anywhere: Targets that are asked for without a place; see `find_target`.

    Raises:
        UnknownPrompt: With what comes near to it and the list of what the model knows.
    """
    if targets and find_target(prompt, targets, aliases, anywhere) is None:
        said = _said(prompt) - _SMALL
        near = sorted(target for target in targets if _words(target) & said)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise UnknownPrompt(
            f"This model has not learnt to find {prompt!r}.",
            f"{hint}Ask for one of: {', '.join(sorted(targets))}; or use a larger model.",
        )


def find_target(
    prompt: str,
    targets: Sequence[str],
    aliases: Aliases | None = None,
    anywhere: Collection[str] = (),
) -> str | None:
    """The most specific target whose words all stand in the prompt, in any order.

    "the left kidney, please" asks for "kidney left"; "kidneys" for "kidney". Where targets are
    told apart by levels ("vertebra L4"), a prompt for another level asks for none of them; nor does
    one for a part of the target or for what is in it ("liver vessel").

    Args:
        prompt: The user's text.
        targets: Names the model has learnt.
        aliases: Other names that are understood; those for names not in `targets` are not.
        anywhere: Targets that have no place of their own, such as "lesion". "Is there a lesion?"
            asks for it, "a skin lesion" for something else, which the model may not know.
    """
    said, told = _said(prompt), frozenset(_forms(prompt)) - _SMALL
    known = set(targets)
    others = [(one, name) for one, more in (aliases or {}).items() if one in known for name in more]
    matching = [
        (_words(name), target)
        for target, name in [*zip(targets, targets, strict=True), *others]
        if said & _THINGS <= _words(name) <= said
        and (target not in anywhere or told <= _words(name))
    ]
    if not matching:
        return None
    words, best = max(matching, key=lambda match: (len(match[0]), sum(map(len, match[0]))))
    return None if _levels(said) - words and _has_levels(words, targets) else best


def _has_levels(words: frozenset[str], targets: Iterable[str]) -> bool:
    """Whether there are targets of this name and a level."""
    return any(words <= _words(target) and _levels(_words(target)) for target in targets)


def _levels(words: frozenset[str]) -> frozenset[str]:
    return frozenset(word for word in words if _LEVEL.fullmatch(word))


def _said(text: str) -> frozenset[str]:
    """Words of a prompt, and its neighbours joined: a "brain stem" may be known as "brainstem"."""
    forms = _forms(text)
    return frozenset([*forms, *(one + other for one, other in pairwise(forms))])


def _words(name: str) -> frozenset[str]:
    return frozenset(_forms(name))


def _forms(text: str) -> list[str]:
    """Words in one form of many: lower case, singular, American spelling, sides in full."""
    apart = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
    return [_form(word) for word in re.findall(r"[^\W_]+", apart.lower())]


def _form(word: str) -> str:
    word = _SIDES.get(word, word)
    if len(word) <= 3:
        return word
    for ending, singular in _PLURALS:
        if word.endswith(ending):
            word = word.removesuffix(ending) + singular
            break
    for spelling, other in _SPELLINGS:
        word = word.replace(spelling, other)
    return word


_THINGS = frozenset(
    _forms(
        "adrenal appendage artery calcification carcinoma cartilage chiasm cyst duct edema gland "
        "lacrimal lesion ligament lymph metastases metastasis nerve node nodule nucleus optic "
        "pituitary plaque polyp prostate stone thrombus thyroid tumor ulcer valve vein vessel wall"
    )
)
"""Words that turn the name of a target into another thing: a liver vessel is not the liver."""

_SMALL = frozenset(
    _forms(
        "a all an and any are at be can contour could delineate detect do does find for from here "
        "highlight how i if image in is it locate many mark me need of on one or outline picture "
        "please region scan see segment segmentation show slice some suspicious that the there "
        "these this to us visible want we what where whether which with you"
    )
)
"""Words that say nothing about what is to be found."""
