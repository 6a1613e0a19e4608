"""How far a propagation is, and how long it may still take."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from statistics import median

MEMORY = 15
"""Slices over which the usual cost of one is taken."""


@dataclass(frozen=True)
class Progress:
    """What is done and what may be left.

    Attributes:
        done: Slices settled: by the agent, or carried by the tool.
        left: Most slices that may still be looked at. Drops at once where the target turns out
            to end, so that the real number is nearly always lower.
        seconds_left: Usual cost of a slice times `left`, so rather too long than too short;
            None before the first slice is settled.
    """

    done: int
    left: int
    seconds_left: float | None


class Pace:
    """Measures what slices cost, by the clock.

    The cost of a slice is the median over the last `MEMORY` ones: one that took long (the first
    one loads a model, another waits for a second user) does not count, and a change from asking
    to carrying is noticed soon.
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=MEMORY)
        self._since = time.perf_counter()

    def settled(self, slices: int) -> None:
        """Note that a number of slices were settled since the last note."""
        now = time.perf_counter()
        if slices:
            self._recent.extend([(now - self._since) / slices] * slices)
            self._since = now

    def seconds(self, slices: int) -> float | None:
        """Time for a number of slices, or None before anything was measured."""
        return median(self._recent) * slices if self._recent else None
