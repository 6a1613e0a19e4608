"""The last masks of the tool with their logits, which no record holds.

A person's click on a run that rests goes on from them as if it had not rested. Where they are
gone, the click goes on from the mask alone.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from threading import Lock

import numpy as np

from ibisagent.episode import Episode
from ibisagent.tools.base import Segmentation

KEPT = 64
"""Slices, of all runs together: at most 64 x (512 x 512 + 4 x 256 x 256) bytes, or 32 MiB, for
slices of that size."""


class WarmMasks:
    """Keeps the segmentations used last. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, int], Segmentation] = OrderedDict()

    def __len__(self) -> int:
        """Number of segmentations kept."""
        return len(self._kept)

    def keep(self, run: str, index: int, episode: Episode) -> None:
        """Keep what the tool made last on a slice."""
        segmentation = episode.segmentation
        if segmentation.logits is None:
            return
        with self._lock:
            self._kept[run, index] = segmentation
            self._kept.move_to_end((run, index))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def warm(self, run: str, index: int, episode: Episode) -> None:
        """Give a reopened episode its last segmentation back, if it is kept and still stands."""
        with self._lock:
            kept = self._kept.get((run, index))
        if kept is None or not episode.steps:
            return
        last = episode.steps[-1]
        if np.array_equal(kept.mask, last.segmentation.mask):
            episode.steps[-1] = replace(last, segmentation=kept)
