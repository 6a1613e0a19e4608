"""From the agent in two dimensions to a mask in three.

The agent is asked on key slices (`key_slices`). On a slice between two of them their masks let
expect a mask (`between`), and the tool is brought to it by clicks (`carry`). Where it cannot be,
or where its mask is doubtful (`agreement`), the agent is asked again, and the slice becomes a key
slice: afresh, or from the expected mask where the tool sees something like it. A slice on which
the agent sees nothing stays empty and parts the target there.

With a mask or clicks of a person, or a slice to begin with, the target is followed from there
and not looked for elsewhere. Slices of a person's mask stay as they are, but for the key slices
among them, from which the agent goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ibisagent.episode import Episode, StopReason
from ibisagent.propagation import key_slices
from ibisagent.propagation.attempt import attempt, carried_record, next_slice
from ibisagent.propagation.ledger import Ledger
from ibisagent.propagation.progress import Pace, Progress
from ibisagent.propagation.settings import PropagationSettings
from ibisagent.slice_player import SlicePlayer, batches
from ibisagent.tools.ahead import embed_ahead
from ibisagent.tools.base import Segmentation
from ibisagent.trajectory import CarriedSlice, Trajectory

logger = logging.getLogger(__name__)

OnSliceDone = Callable[[Trajectory | CarriedSlice], None]
"""Called with the record of each slice as soon as it is settled, in the order of the run."""

OnProgress = Callable[[Progress], None]
"""Called after each slice, or batch of slices, that was settled."""


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
        on_progress: See `OnProgress`.

    Raises:
        ToolOutOfMemory: The tool's device is too small.
        PolicyFailed: The policy raised.
    """
    settings = settings or PropagationSettings()
    run = _Run(player, slice_mm, settings, on_slice_done, on_progress)
    run.search(begin_at)
    run.follow()
    return run.result()


@dataclass
class _Questions:
    """Slices to ask the agent on: why, and from which mask if not afresh."""

    why: dict[int, str] = field(default_factory=dict)
    starts: dict[int, Segmentation] = field(default_factory=dict)


class _Run:
    def __init__(
        self,
        player: SlicePlayer,
        slice_mm: float,
        settings: PropagationSettings,
        on_slice_done: OnSliceDone | None,
        on_progress: OnProgress | None,
    ) -> None:
        self._player, self._view, self._settings = player, player.view, settings
        self._slice_mm = slice_mm
        self._step = key_slices.stride(settings.key_mm, slice_mm)
        self._on_slice_done = on_slice_done or (lambda record: None)
        self._on_progress = on_progress or (lambda progress: None)
        self._ledger = Ledger(self._view, player.given.mask)
        self._searched_all = False
        self._trajectories: dict[int, Trajectory] = {}
        self._carried: dict[int, CarriedSlice] = {}
        self._waiting: set[int] = set()
        self._pace = Pace()

    def result(self) -> Propagated:
        """What stands."""
        trajectories = [record for _, record in sorted(self._trajectories.items())]
        carried = [record for _, record in sorted(self._carried.items())]
        return Propagated(self._ledger.volume, trajectories, carried)

    def search(self, begin_at: int | None) -> None:
        """Find the target where a person says, or from coarse to fine everywhere."""
        why = dict.fromkeys(self._keys_of_given(), "A key slice of the starting mask.")
        if begin_at is not None:
            why[begin_at] = "The slice to begin with."
        why.update(dict.fromkeys(self._player.given.clicks, "A person clicked here."))
        self._ask(_Questions(why))
        step, count = self._step, self._view.count
        finest = key_slices.stride(self._settings.finest_mm, self._slice_mm)
        found = self._ledger.found
        places = [index for index in key_slices.grid(count, step) if index not in found]
        while not self._ledger.anything and not self._stopped():
            places = places or key_slices.finer(found, count, finest)
            if not places:
                break
            self._ask(_Questions(dict.fromkeys(places, "Looking for the target.")))
            places = []
        self._searched_all = True
        self._tell_progress()

    def follow(self) -> None:
        """Settle everything between the target's ends."""
        while not self._player.cancelled():
            ends = self._ends()
            gaps = key_slices.gaps(self._ledger.found)
            if ends:
                self._ask(_Questions(dict.fromkeys(ends, "Looking for the target's end.")))
            elif gaps:
                self._ask(self._carry_into(gaps))
            else:
                break

    def _stopped(self) -> bool:
        """Whether to stop; never before the first slice, so that there is something to return."""
        return bool(self._trajectories) and self._player.cancelled()

    def _keys_of_given(self) -> list[int]:
        """Evenly spaced slices of each stretch of the person's mask, its ends among them."""
        marked = np.zeros(self._view.count + 2, dtype=np.int8)
        marked[[index + 1 for index in self._ledger.found]] = 1
        changes = np.diff(marked)
        stretches = zip(np.flatnonzero(changes == 1), np.flatnonzero(changes == -1), strict=True)
        return [
            int(first) + offset
            for first, after in stretches
            for offset in key_slices.grid(int(after - first), self._step)
        ]

    def _ends(self) -> list[int]:
        absences = self._settings.absences
        return key_slices.ends(self._ledger.found, self._view.count, self._step, absences)

    def _ask(self, questions: _Questions) -> None:
        """Ask the agent, in batches, and settle the slices."""
        self._waiting = set(questions.why)
        for part in batches(sorted(questions.why)):
            if self._stopped():
                return
            episodes = self._player.play(part, questions.starts, questions.why)
            for index, episode in episodes.items():
                self._settle_asked(index, episode, questions.why[index])
                self._waiting.remove(index)
            self._pace.settled(len(part))
            self._tell_progress()

    def _settle_asked(self, index: int, episode: Episode, why: str) -> None:
        trajectory = self._player.record(index, episode, why)
        self._trajectories[index] = trajectory
        # A person may have held one slice; it is settled unless the whole run was cancelled.
        broken_off = episode.stop is StopReason.CANCELLED and self._player.cancelled()
        segmentation = episode.segmentation
        if segmentation.mask.any() or not broken_off:
            score = segmentation.score if episode.clicks else None
            self._ledger.settle_key(index, segmentation.mask, score)
        if not broken_off:
            self._on_slice_done(trajectory)

    def _carry_into(self, gaps: list[tuple[int, int]]) -> _Questions:
        """Settle one slice of each gap, or say why the agent must be asked there."""
        questions = _Questions()
        near = [gap for gap in gaps if gap[1] - gap[0] <= self._step]
        if len(near) > 1 and not self._player.cancelled():
            slices = (next_slice(self._ledger, gap)[0] for gap in near)
            embed_ahead(self._player.agent.tool, map(self._view.rgb, slices))
        for low, high in gaps:
            if high - low > self._step:
                questions.why[(low + high) // 2] = "Far from the slices that a person gave."
            elif not self._player.cancelled():
                self._carry_one(low, high, questions)
        return questions

    def _carry_one(self, low: int, high: int, questions: _Questions) -> None:
        """Carry masks to one slice of a gap, or say why the agent must be asked there."""
        gap = (low, high)
        tried = attempt(self._player, self._ledger, gap, self._slice_mm, self._settings)
        if tried is None:
            return
        carried, why = tried.carried, tried.doubt
        if carried is not None and not why:
            self._settle_carried(tried.index, carried_record(self._player, tried, carried))
            return
        logger.info("slice %d: %s", tried.index, why)
        questions.why[tried.index] = why
        if carried is not None and carried.agreement >= self._settings.usable:
            start = Segmentation(carried.expected, carried.segmentation.score)
            questions.starts[tried.index] = start

    def _settle_carried(self, index: int, record: CarriedSlice) -> None:
        self._ledger.settle_carried(index, record.mask.decode())
        self._carried[index] = record
        self._pace.settled(1)
        self._on_slice_done(record)
        self._tell_progress()

    def _tell_progress(self) -> None:
        found, count = self._ledger.found, self._view.count
        if self._searched_all:
            left = key_slices.open_slices(found, count, self._step, self._settings.absences)
        else:
            left = count - len(found) + len(self._waiting & found.keys())
        done = len(self._trajectories.keys() | self._carried.keys())
        self._on_progress(Progress(done, left, self._pace.seconds(left)))
