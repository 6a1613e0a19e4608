"""Carrying the masks of two key slices to one slice between them."""

from __future__ import annotations

from dataclasses import dataclass

from ibisagent.metrics import iou
from ibisagent.propagation.agreement import doubt
from ibisagent.propagation.between import between
from ibisagent.propagation.carry import Carried, carry
from ibisagent.propagation.ledger import Ledger
from ibisagent.propagation.settings import PropagationSettings
from ibisagent.rle import Rle
from ibisagent.slice_player import SlicePlayer
from ibisagent.trajectory import CarriedSlice, click_record


@dataclass(frozen=True, eq=False)
class Attempt:
    """What came of it.

    Attributes:
        index: The slice.
        keys: The key slices below and above.
        carried: What the tool made of the expected mask; None where no mask could be expected.
        doubt: Why the slice is not settled by it; empty where the tool may be trusted.
        overlap: IoU of the mask with that of the settled slice beside it.
    """

    index: int
    keys: tuple[int, int]
    carried: Carried | None
    doubt: str
    overlap: float = 0.0


def next_slice(ledger: Ledger, gap: tuple[int, int]) -> tuple[int, int]:
    """The slice of a gap that is nearer to a key slice, and the settled one beside it."""
    low, high = gap
    below, above = ledger.keys_around(low + 1)
    return (low + 1, low) if low - below <= above - high else (high - 1, high)


def attempt(
    player: SlicePlayer,
    ledger: Ledger,
    gap: tuple[int, int],
    slice_mm: float,
    settings: PropagationSettings,
) -> Attempt | None:
    """Carry masks to the slice of a gap that is nearer to a key slice.

    Args:
        player: Of the volume; its tool is asked.
        ledger: What is settled.
        gap: Settled slices that show the target, with slices between them that are not settled.
        slice_mm: Distance between neighbouring slices in mm.
        settings: Thresholds.

    Returns:
        None if cancelled.

    Raises:
        ToolOutOfMemory: The tool's device is too small.
    """
    below, above = ledger.keys_around(gap[0] + 1)
    index, neighbour = next_slice(ledger, gap)
    keys = (ledger.key(below), ledger.key(above))
    share = (above - index) / (above - below)
    expected = between(keys[0].mask, keys[1].mask, share)
    if not expected.any():
        why = f"The masks of slices {below} and {above} do not overlap."
        return Attempt(index, (below, above), None, why)
    tool, picture = player.agent.tool, player.view.rgb(index)
    carried = carry(tool, picture, expected, settings, player.cancelled)
    if carried is None:
        return None
    beside = ledger.mask(neighbour)
    why = doubt(carried, beside, keys, slice_mm, settings)
    return Attempt(index, (below, above), carried, why, iou(carried.mask, beside))


def carried_record(player: SlicePlayer, tried: Attempt, carried: Carried) -> CarriedSlice:
    """Describe a slice that the tool was trusted with."""
    return CarriedSlice(
        prompt=player.prompt,
        slice=player.where(tried.index),
        tool=player.agent.tool.name,
        between=tried.keys,
        expected=Rle.encode(carried.expected),
        clicks=[click_record(click) for click in carried.clicks],
        tool_mask=Rle.encode(carried.segmentation.mask),
        mask=Rle.encode(carried.mask),
        score=carried.segmentation.score,
        agreement=carried.agreement,
        overlap=tried.overlap,
        tool_seconds=round(carried.seconds, 4),
    )
