"""What a run's events add up to: the slices as they stand.

Whoever reads all events knows the mask and every step; nothing else needs to be kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ibisagent.episode import StopReason
from ibisagent.events import Event, SliceDone, SliceStarted, Started, Stepped
from ibisagent.rle import Rle
from ibisagent.slices import SliceView
from ibisagent.trajectory import SliceRecord, StepRecord, Trajectory


@dataclass
class SliceStory:
    """One slice.

    Attributes:
        mask: As it stands.
        where: Where the slice lies; None where no episode was begun on it.
        start: The mask its episode began with.
        steps: Steps that stand, oldest first.
        undone: Steps taken back, in that order.
        stop: Why the episode ended; None while it is open.
        answer: The agent's closing sentence.
        asked_because: Of a volume: why the agent was asked here.
        policy: Who played.
        tool: With what.
        written: Time of the last event on it.
    """

    mask: Rle
    where: SliceRecord | None = None
    start: Rle | None = None
    steps: list[StepRecord] = field(default_factory=list)
    undone: list[StepRecord] = field(default_factory=list)
    stop: StopReason | None = None
    answer: str = ""
    asked_because: str = ""
    policy: str = ""
    tool: str = ""
    written: str = ""


class Story:
    """Adds events up.

    Args:
        events: From the first one.

    Attributes:
        slices: Slice -> what happened on it.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.slices: dict[int, SliceStory] = {}
        self._policy = self._tool = ""
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Take the next event in."""
        if isinstance(event, Started):
            self._policy, self._tool = event.policy, event.tool
        elif isinstance(event, SliceStarted):
            self.slices[event.slice.index] = SliceStory(
                mask=event.start,
                where=event.slice,
                start=event.start,
                asked_because=event.asked_because,
                policy=self._policy,
                tool=self._tool,
                written=event.time,
            )
        elif isinstance(event, Stepped):
            self._add_step(event)
        elif isinstance(event, SliceDone):
            self._add_end(event)

    @property
    def found(self) -> bool:
        """Whether anything is marked."""
        return any(slice_.mask.area > 0 for slice_ in self.slices.values())

    def paint(self, view: SliceView) -> NDArray[np.uint8]:
        """The mask of the whole image: 1 where the target is, axes (k, j, i), uint8."""
        volume = np.zeros(view.volume_shape, np.uint8)
        for index, slice_ in self.slices.items():
            view.into_volume(slice_.mask.decode(), volume, index)
        return volume

    def carried_around(self, index: int, by_tool: Collection[int]) -> list[tuple[int, int]]:
        """Pairs of marked slices, a given one and the next below or above that is no carried one.

        Args:
            index: A slice.
            by_tool: Slices that the tool was once trusted with. Those that a person or the agent
                has turned to since do not count.

        Returns:
            Those pairs that have carried slices between them, lower slice first.
        """
        carried = {one for one in by_tool if one in self.slices and not self.slices[one].where}
        pairs = []
        for sense in (-1, 1):
            end = index + sense
            while end in carried:
                end += sense
            pairs.append((min(index, end), max(index, end)))
        return [(low, high) for low, high in pairs if high - low > 1 and self._marks(low, high)]

    def _marks(self, *indices: int) -> bool:
        return all(i in self.slices and self.slices[i].mask.area > 0 for i in indices)

    def trajectory(self, index: int, prompt: str, profile: str) -> Trajectory | None:
        """The record of a slice's episode; None where none was begun.

        Args:
            index: Slice.
            prompt: Of the run.
            profile: Name of the prompt profile.
        """
        slice_ = self.slices.get(index)
        if slice_ is None or slice_.where is None or slice_.start is None:
            return None
        return Trajectory(
            written=slice_.written,
            prompt=prompt,
            slice=slice_.where,
            asked_because=slice_.asked_because,
            policy=slice_.policy,
            tool=slice_.tool,
            profile=profile,
            start=slice_.start,
            steps=slice_.steps,
            undone=slice_.undone,
            stop=slice_.stop,
            answer=slice_.answer,
        )

    def trajectories(self, prompt: str, profile: str) -> list[Trajectory]:
        """The records of all episodes, in the order of the slices."""
        records = (self.trajectory(index, prompt, profile) for index in sorted(self.slices))
        return [record for record in records if record is not None]

    def _add_step(self, event: Stepped) -> None:
        slice_ = self.slices[event.index]
        if event.undone:
            slice_.steps.pop()
            slice_.undone.append(event.step)
        else:
            slice_.steps.append(event.step)
        slice_.mask, slice_.written = event.mask, event.time
        slice_.stop, slice_.answer = None, ""

    def _add_end(self, event: SliceDone) -> None:
        slice_ = self.slices.setdefault(event.index, SliceStory(event.mask))
        slice_.mask, slice_.written = event.mask, event.time
        if not event.carried:
            slice_.stop, slice_.answer = event.stop, event.answer
