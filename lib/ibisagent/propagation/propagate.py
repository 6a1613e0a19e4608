"""From the agent in two dimensions to a mask in three.

The agent is asked on key slices (`key_slices`). Between two of them the tool is brought, slice
by slice and from both sides, to the mask that the settled slices on either side let expect
(`between`, `carry`). Where it cannot be, or where its mask is doubtful (`agreement`), the agent
is asked again: afresh, or from the expected mask where the tool sees something like it. A slice
on which the agent sees nothing stays empty and parts the target there.

With a mask or clicks of a person, or a slice to begin with, the target is followed from there
and not looked for elsewhere. Slices of a person's mask stay as they are, but for the key slices
among them, from which the agent goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ibisagent.episode import Episode
from ibisagent.metrics import iou
from ibisagent.propagation import key_slices
from ibisagent.propagation.agreement import Standing, doubt
from ibisagent.propagation.between import between
from ibisagent.propagation.carry import Carried, carry
from ibisagent.propagation.progress import Pace, Progress
from ibisagent.propagation.settings import PropagationSettings
from ibisagent.rle import Rle
from ibisagent.slice_player import SlicePlayer, batches
from ibisagent.tools.base import Mask, Segmentation
from ibisagent.trajectory import CarriedSlice, Trajectory, click_record

logger = logging.getLogger(__name__)

OnSliceDone = Callable[[Trajectory | CarriedSlice], None]
"""Called with the record of each slice as soon as it is settled, in the order of the run."""

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, eq=False)
class Propagated:
    """What came out.

    Attributes:
        mask: 1 where the target is, axes (k, j, i) of the image, uint8; nothing was cleaned.
        trajectories: Of the slices that the agent was asked on, in the order of the slices.
        carried: Of the slices that the tool was trusted with, in the order of the slices.
    """

    mask: NDArray[np.uint8]
    trajectories: list[Trajectory]
    carried: list[CarriedSlice]


def propagate(
    player: SlicePlayer,
    slice_mm: float,
    begin_at: int | None = None,
    settings: PropagationSettings | None = None,
    on_slice_done: OnSliceDone | None = None,
    on_progress: OnProgress | None = None,
) -> Propagated:
    """Segment a volume.

    Args:
        player: The agent on the volume's slices, with what a person has given. Its `cancelled`
            is read before each call of policy and tool; what stands by then is returned.
        slice_mm: Distance between neighbouring slices in mm.
        begin_at: A slice that shows the target. If the agent sees nothing there, the target is
            looked for everywhere.
        settings: Thresholds; None for those of the documentation.
        on_slice_done: See `OnSliceDone`.
        on_progress: Called after each slice, or batch of slices, that was settled.

    Raises:
        ToolOutOfMemory: The tool's device is too small.
        PolicyFailed: The policy raised.
    """
    run = _Run(player, slice_mm, settings or PropagationSettings())
    run.on_slice_done = on_slice_done or run.on_slice_done
    run.on_progress = on_progress or run.on_progress
    run.search(begin_at)
    run.follow()
    return run.result()


class _Run:
    """The state of one propagation: which slices are settled, and how."""

    def __init__(
        self, player: SlicePlayer, slice_mm: float, settings: PropagationSettings
    ) -> None:
        self.on_slice_done: OnSliceDone = lambda record: None
        self.on_progress: OnProgress = lambda progress: None
        self._player, self._view = player, player.view
        self._slice_mm, self._settings = slice_mm, settings
        self._step = key_slices.stride(settings.key_mm, slice_mm)
        self._volume = np.zeros(self._view.volume_shape, np.uint8)
        self._found: dict[int, bool] = {}
        self._standing: dict[int, Standing] = {}
        self._trajectories: dict[int, Trajectory] = {}
        self._carried: dict[int, CarriedSlice] = {}
        self._searching = True
        self._pace = Pace()
        self._stand_on_given()

    def result(self) -> Propagated:
        """What stands."""
        in_order = [sorted(records.items()) for records in (self._trajectories, self._carried)]
        trajectories, carried = ([record for _, record in records] for records in in_order)
        return Propagated(self._volume, trajectories, carried)  # type: ignore[arg-type]

    def search(self, begin_at: int | None) -> None:
        """Find the target: where a person says, or from coarse to fine everywhere."""
        reasons = {index: "A key slice of the starting mask." for index in self._given_keys()}
        if begin_at is not None:
            reasons[begin_at] = "The slice to begin with."
        reasons.update(dict.fromkeys(self._player.given.clicks, "A person clicked on it."))
        self._searching = not self._found
        if reasons:
            self._ask(reasons)
        if not self._stopped() and not self._anything():
            self._search_everywhere()
        self._searching = False

    def follow(self) -> None:
        """Settle everything between the target's ends."""
        while not self._player.cancelled():
            asked = self._to_ask() or self._carry_on()
            if asked is None:
                return
            self._ask(*asked) if asked else None

