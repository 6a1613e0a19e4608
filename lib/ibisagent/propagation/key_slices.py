"""Which slices the agent is asked on next, from what it found so far.

Coarse to fine: evenly spaced slices over the whole volume (or outwards from slices that are
known to show the target), then halving towards each end of what was found, until present and
absent slices are neighbours. What is found may have gaps, so that a target in several parts has
several ends.

`found` maps slice number -> whether the target is there; slices that nobody looked at are not in
it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise


def stride(key_mm: float, slice_mm: float) -> int:
    """Number of slices from one key slice to the next, at least 1."""
    return max(1, round(key_mm / slice_mm))


def grid(count: int, step: int) -> list[int]:
    """Evenly spaced slices, at most `step` apart, the volume's first and last among them."""
    if count <= 1:
        return list(range(count))
    parts = math.ceil((count - 1) / step)
    return [round(part * (count - 1) / parts) for part in range(parts + 1)]


def finer(found: Mapping[int, bool], count: int, least_step: int) -> list[int]:
    """Slices halfway between those looked at, for a target that was not found yet.

    Args:
        found: With nothing present.
        count: Number of slices.
        least_step: Distance in slices that is fine enough: then the list is empty.
    """
    looked_at = sorted({-1, count, *found})
    pairs = pairwise(looked_at)
    return [(low + high) // 2 for low, high in pairs if high - low > least_step]


def ends(found: Mapping[int, bool], count: int, step: int, absences: int) -> list[int]:
    """Slices to look at so that each end of the target is between neighbours.

    Args:
        found: See above.
        count: Number of slices.
        step: How far to go from the outermost present slice where nothing beyond is known.
        absences: Absent slices in a row that make an end certain.

    Returns:
        Slices that are not in `found`, ascending; empty once all ends are known.
    """
    looked_at = sorted(found)
    asked: set[int | None] = set()
    for place, index in enumerate(looked_at):
        if not found[index]:
            continue
        above = looked_at[place + 1] if place + 1 < len(looked_at) else None
        below = looked_at[place - 1] if place > 0 else None
        asked.add(_beyond(found, index, above, min(index + step, count - 1), absences, count))
        asked.add(_beyond(found, index, below, max(index - step, 0), absences, count))
    return sorted(index for index in asked if index is not None and index not in found)


def gaps(found: Mapping[int, bool]) -> list[tuple[int, int]]:
    """Pairs of present slices with slices between them that nobody looked at."""
    looked_at = sorted(found)
    return [
        (low, high)
        for low, high in pairwise(looked_at)
        if found[low] and found[high] and high - low > 1
    ]


def open_slices(found: Mapping[int, bool], count: int, step: int, absences: int) -> int:
    """Most slices that may still be looked at, by the agent or by the tool.

    Those between two present slices, those between a present slice and the next absent one (or
    the volume's end), and those still needed to make an end certain.
    """
    looked_at = sorted(found)
    unknown = set(ends(found, count, step, absences))
    for low, high in pairwise([-1, *looked_at, count]):
        if found.get(low) or found.get(high):
            unknown.update(range(low + 1, high))
    return len(unknown)


def _beyond(
    found: Mapping[int, bool], index: int, other: int | None, far: int, absences: int, count: int
) -> int | None:
    """The slice to look at on one side of a present slice, or None where that side is settled.

    Args:
        found: See above.
        index: The present slice.
        other: The next slice on that side that was looked at, or None.
        far: Where to look if there is none.
        absences: See `ends`.
        count: Number of slices.
    """
    if other is None:
        return far
    if found[other]:
        return None
    if abs(other - index) > 1:
        return (index + other) // 2
    sense = other - index
    beyond = [index + sense * (away + 1) for away in range(absences)]
    inside = [slice_ for slice_ in beyond if 0 <= slice_ < count]
    return next((s for s in inside if found.get(s, True)), None)
