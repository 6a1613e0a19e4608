"""Prompts in a form in which they can be compared: tokens, and what their pictures show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from ibisagent.tools.base import RGB
from ibisagent.tools.embedding_cache import content_key


@dataclass(frozen=True, eq=False)
class PromptMarks:
    """One prompt.

    Attributes:
        marks: Its tokens; in place of a picture's tokens, the digest of the picture's pixels.
        pictures: Where each picture stands: its first token, and the one behind its last.
    """

    marks: list[int | str]
    pictures: list[tuple[int, int]]

    @classmethod
    def of(
        cls, inputs: Mapping[str, Any], pictures: Sequence[Sequence[RGB]], picture_token: int
    ) -> list[PromptMarks] | None:
        """Read a batch.

        Args:
            inputs: Of the processor: ``input_ids`` and ``attention_mask``, axes (prompt, token).
            pictures: Of each prompt, in order; at least one.
            picture_token: Stands for a part of a picture.

        Returns:
            One a prompt; None where pictures and tokens do not match.
        """
        rows = zip(inputs["input_ids"], inputs["attention_mask"], pictures, strict=True)
        found = [
            cls._of_one(ids[seen == 1].tolist(), own, picture_token) for ids, seen, own in rows
        ]
        complete = [one for one in found if one is not None]
        return complete if len(complete) == len(found) else None

    @classmethod
    def _of_one(
        cls, tokens: list[int], pictures: Sequence[RGB], picture_token: int
    ) -> PromptMarks | None:
        spans = _runs(tokens, picture_token)
        if not spans or len(spans) != len(pictures):
            return None
        marks: list[int | str] = list(tokens)
        for (first, end), picture in zip(spans, pictures, strict=True):
            marks[first:end] = [content_key(picture)] * (end - first)
        return cls(marks, spans)


def shared(one: Sequence[int | str], other: Sequence[int | str]) -> int:
    """How many marks two prompts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _runs(tokens: Sequence[int], wanted: int) -> list[tuple[int, int]]:
    """Stretches of one token: the first place of each, and the one behind its last."""
    places = [place for place, token in enumerate(tokens) if token == wanted]
    firsts = [place for place in places if place == 0 or tokens[place - 1] != wanted]
    ends = [p + 1 for p in places if p + 1 == len(tokens) or tokens[p + 1] != wanted]
    return list(zip(firsts, ends, strict=True))
