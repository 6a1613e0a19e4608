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
    """What something took, each time it was done.

    Attributes:
        seconds: By the clock on the wall.
        cpu: Seconds of this process on all cores together, which other programs do not
            lengthen; empty where another process did the work.
    """

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Add the duration of the block."""
        began, began_cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds.append(time.perf_counter() - began)
        self.cpu.append(time.process_time() - began_cpu)

    def __add__(self, other: Times) -> Times:
        return Times(self.seconds + other.seconds, self.cpu + other.cpu)

    @property
    def median(self) -> float:
        """The middle one, which a hiccup of the machine does not move."""
        return statistics.median(self.seconds)

    def pace(self, device: str) -> float:
        """What ratios are made of: on a CPU its own median, as other programs stretch the clock.

        Args:
            device: Where the work was done; a GPU's is not in this process's seconds.
        """
        alone = self.cpu and device == "cpu"
        return statistics.median(self.cpu) if alone else self.median

    def as_json(self) -> dict[str, Any]:
        """Median, extremes and number; the median of the processor's seconds where known."""
        values = {"median": self.median, "min": min(self.seconds), "max": max(self.seconds)}
        if self.cpu:
            values["cpu_median"] = statistics.median(self.cpu)
        return {name: round(value, 4) for name, value in values.items()} | {"n": len(self.seconds)}


def repeat(work: Callable[[Any], object], inputs: Sequence[Any]) -> Times:
    """Time a piece of work on each input."""
    times = Times()
    for one in inputs:
        with times.measure():
            work(one)
    return times
