"""Repeated measurements and their median."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Times:
    """Seconds that something took, each time it was done."""

    seconds: list[float] = field(default_factory=list)

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Add the duration of the block."""
        began = time.perf_counter()
        yield
        self.seconds.append(time.perf_counter() - began)

    @property
    def median(self) -> float:
        """The middle one, which a hiccup of the machine does not move."""
        return statistics.median(self.seconds)

    def as_json(self) -> dict[str, Any]:
        """Median, extremes and number."""
        rounded = [round(value, 4) for value in (self.median, min(self.seconds), max(self.seconds))]
        return dict(zip(("median", "min", "max"), rounded, strict=True), n=len(self.seconds))


def repeat(work: Callable[[Any], object], inputs: Sequence[Any]) -> Times:
    """Time a piece of work on each input."""
    times = Times()
    for one in inputs:
        with times.measure():
            work(one)
    return times
