"""Carrying masks once more, after a person has changed the slice that they come from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ibisagent.propagation.attempt import attempt, carried_record
from ibisagent.propagation.ledger import Ledger
from ibisagent.propagation.settings import PropagationSettings
from ibisagent.slice_player import SlicePlayer
from ibisagent.trajectory import CarriedSlice


def carry_anew(
    player: SlicePlayer,
    slice_mm: float,
    volume: NDArray[np.uint8],
    keys: tuple[int, int],
    settings: PropagationSettings | None = None,
) -> Iterator[CarriedSlice]:
    """Carry the masks of two slices to those between them; the agent is not asked.

    Args:
        player: Of the volume; its tool is asked, and `cancelled` is read before each call.
        slice_mm: Distance between neighbouring slices in mm.
        volume: The mask as it stands, above 0 where the target is, axes (k, j, i) of the image.
        keys: Two slices that it marks, the lower one first.
        settings: Thresholds; None for those of the documentation.

    Yields:
        The record of each slice that the tool may be trusted with, from both ends inwards. On
        the others, what `volume` has still stands.

    Raises:
        ToolOutOfMemory: The tool's device is too small.
    """
    view, settings = player.view, settings or PropagationSettings()
    low, high = keys
    so_far, rest = Ledger(view, volume), volume.copy()
    for index in range(low + 1, high):
        view.into_volume(np.zeros(view.shape, dtype=bool), rest, index)
    ledger = Ledger(view, rest)
    while high - low > 1:
        tried = attempt(player, ledger, (low, high), slice_mm, settings)
        if tried is None:
            return
        trusted = None if tried.doubt else tried.carried
        ledger.settle_carried(tried.index, trusted.mask if trusted else so_far.mask(tried.index))
        low, high = (tried.index, high) if tried.index == low + 1 else (low, tried.index)
        if trusted:
            yield carried_record(player, tried, trusted)
