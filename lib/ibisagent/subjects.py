"""Whose picture it is, and on which side of the split that person stands.

A model that has seen one slice of a person knows the next one. So data are split by subject,
and training and evaluation ask the same function. The manifests do not name subjects; the rules
that read them off file names are data, in ``subjects.yaml`` beside this file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from hashlib import sha256
from importlib import resources

import yaml

HELD_BACK = 0.25
"""Share of the subjects that training does not see."""


@dataclass(frozen=True)
class _Rules:
    patterns: dict[str, str]
    ranges: dict[str, int]
    held_back: list[str]


def subject_of(set_name: str, stem: str) -> str:
    """The subject that an image shows.

    Args:
        set_name: Name of the data set, as in its manifest.
        stem: The image's file name without extension.

    Returns:
        An identifier that is unique within the set; the stem where no rule is known.
    """
    rules = _rules()
    width = rules.ranges.get(set_name)
    if width is not None and stem.isdecimal():
        return str(int(stem) // width)
    match = re.search(rules.patterns.get(set_name, "(?!)"), stem)
    return "".join(match.groups()) if match else stem


def is_held_back(set_name: str, subject: str, fraction: float = HELD_BACK) -> bool:
    """Whether training must not see a subject.

    The side is decided by a hash (SHA-256) of the names, so it is the same on every machine and
    does not change when other subjects are added. In a set of few subjects the share held back
    may be far from `fraction`.

    Args:
        set_name: Name of the data set.
        subject: As `subject_of` returns it.
        fraction: Expected share of subjects held back, in [0, 1]. Some subjects, named in the
            rules, are held back whatever it is.
    """
    name = f"{set_name}/{subject}"
    if any(fnmatchcase(name, pattern) for pattern in _rules().held_back):
        return True
    digest = sha256(name.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


@cache
def _rules() -> _Rules:
    text = resources.files("ibisagent").joinpath("subjects.yaml").read_text(encoding="utf-8")
    return _Rules(**yaml.safe_load(text))
