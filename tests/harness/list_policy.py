"""A policy that says what it was told to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ibisagent.policies.base import Cancelled, Observation, never

TERMINATE = "<think>It fits.</think><action>Terminate</action><answer>Done.</answer>"


def click(x: float, y: float, positive: bool = True) -> str:
    """A well-formed reply with a click."""
    sign = "Positive" if positive else "Negative"
    return f"<think>Here.</think><action>{sign} Point ({x:.4f}, {y:.4f})</action>"


@dataclass
class ListPolicy:
    """Replays a list, one entry for each observation; terminates when the list is spent.

    Attributes:
        script: Replies still to be given, first one first; an exception is raised instead.
        seen: All observations so far.
        calls: Number of observations in each call.
    """

    script: list[str | Exception] = field(default_factory=list)
    seen: list[Observation] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    name = "list-policy"

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        self.calls.append(len(observations))
        self.seen.extend(observations)
        return [self._next() for _ in observations]

    def _next(self) -> str:
        reply = self.script.pop(0) if self.script else TERMINATE
        if isinstance(reply, Exception):
            raise reply
        return reply
