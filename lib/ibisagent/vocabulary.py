"""What a model has learnt to find, and whether a prompt asks for it.

A large model takes any text. A small one has learnt a list of targets, and a prompt for
something else would get a random mask; it gets a sentence instead.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ibisagent.errors import UnknownPrompt


def check_prompt(prompt: str, targets: Sequence[str]) -> None:
    """Refuse a prompt that names none of the targets.

    Args:
        prompt: The user's text.
        targets: Names the model has learnt; empty for a model that takes any text.

    Raises:
        UnknownPrompt: With the list of what the model knows.
    """
    if targets and find_target(prompt, targets) is None:
        raise UnknownPrompt(
            f"This model has not learnt to find {prompt!r}.",
            f"Ask for one of: {', '.join(sorted(targets))}; or use a larger model.",
        )


def find_target(prompt: str, targets: Sequence[str]) -> str | None:
    """The most specific target whose words all stand in the prompt, in any order.

    "the left kidney, please" asks for "kidney left"; "kidneys" for "kidney".
    """
    words = _words(prompt)
    matching = [target for target in targets if _words(target) <= words]
    return max(matching, key=lambda target: len(_words(target)), default=None)


def _words(text: str) -> frozenset[str]:
    """Lower-case words, with a plural's s dropped."""
    found = re.findall(r"[^\W_]+", text.lower())
    return frozenset(word[:-1] if len(word) > 3 and word.endswith("s") else word for word in found)
