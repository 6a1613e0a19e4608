"""What a run did so far, moment by moment, told from its events.

A moment is what a row of the table shows and what the timeline replays: a step of the agent or
of a person, a step taken back, or a slice settled with another mask than its last step left.
Nothing here draws; `display`, `timeline` and `steps_table` ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .protocol import (
    Event,
    Failed,
    Finished,
    Progressed,
    Rle,
    SliceDone,
    SliceRecord,
    SliceStarted,
    Started,
    Stepped,
)

POSITIVE, NEGATIVE = "positive", "negative"
TERMINATE, MALFORMED = "terminate", "malformed"
UNDONE, SETTLED = "undone", "settled"
"""Kinds of moments: the protocol's actions, and two of our own."""


@dataclass(frozen=True)
class Place:
    """A click that stands.

    Attributes:
        moment: Number of the moment that placed it.
        ijk: Voxel (i, j, k).
        positive: Whether it says "belongs to it".
        thought: Why.
        number: Its place among the clicks of its slice, from 1.
    """

    moment: int
    ijk: tuple[int, int, int]
    positive: bool
    thought: str
    number: int


@dataclass(frozen=True)
class Moment:
    """One row of the story.

    Attributes:
        number: From 0, its place in the story.
        plane: Of the slice.
        index: Of the slice.
        kind: positive, negative, terminate, malformed, undone, settled.
        author: agent or human.
        thought: In words.
        score: The tool's estimate of the mask's IoU; None where the tool was not asked.
        ijk: Voxel that was clicked.
        mask: The slice's mask as it stands after this moment.
        before: The mask as it stood before.
        clicks: Clicks of this slice that stand after this moment.
        takes_back: Number of the moment that this one takes back.
        seconds: What policy and tool took.
    """

    number: int
    plane: str
    index: int
    kind: str
    author: str
    thought: str
    mask: Rle
    before: Rle | None = None
    score: float | None = None
    ijk: tuple[int, int, int] | None = None
    clicks: tuple[Place, ...] = ()
    takes_back: int | None = None
    seconds: float = 0.0


@dataclass
class _Slice:
    """A slice as it stands: its mask, and the moments of its steps that stand."""

    record: SliceRecord | None = None
    mask: Rle | None = None
    standing: list[int] = field(default_factory=list)


class Story:
    """Takes the events in order; knows the moments and the masks.

    Attributes:
        moments: All of them, in order.
        started: The last `Started` event.
        finished: The last `Finished` event, until the run goes on.
        failed: The `Failed` event.
        progress: The last `Progressed` event.
        index: Slice that was last worked on.
        asked_because: Why the agent was asked there.
    """

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self.started: Started | None = None
        self.finished: Finished | None = None
        self.failed: Failed | None = None
        self.progress: Progressed | None = None
        self.index: int | None = None
        self.asked_because = ""
        self._slices: dict[int, _Slice] = {}
        self._changes: list[tuple[int, int, Rle]] = []  # moments before, slice, mask

    def take(self, event: Event) -> Moment | None:
        """Go on by one event.

        Returns:
            The moment it brought, if it brought one.
        """
        if isinstance(event, Stepped):
            return self._step(event)
        if isinstance(event, SliceDone):
            return self._settle(event)
        if isinstance(event, SliceStarted):
            self._turn_to(event)
        elif isinstance(event, Started):
            self.started, self.finished, self.failed = event, None, None
        elif isinstance(event, Progressed):
            self.progress = event
        elif isinstance(event, Finished):
            self.finished, self.progress = event, None
        elif isinstance(event, Failed):
            self.failed, self.progress = event, None
        return None

    def masks_at(self, moment: int | None = None) -> dict[int, Rle]:
        """Mask of each slice as it stood at a moment; None: as it stands now."""
        last = len(self.moments) if moment is None else moment + 1
        return {index: mask for before, index, mask in self._changes if before <= last}

    def record(self, index: int) -> SliceRecord | None:
        """How the picture of a slice lies, as the server told it."""
        return self._slices[index].record if index in self._slices else None

    @property
    def plane(self) -> str:
        """The plane of the run."""
        return self.started.plane if self.started else ""

    def taken_back(self) -> set[int]:
        """Numbers of the moments that do not stand."""
        return {m.takes_back for m in self.moments if m.takes_back is not None}

    def of_slice(self, index: int) -> Iterator[Moment]:
        """Moments of one slice."""
        return (moment for moment in self.moments if moment.index == index)

    def _turn_to(self, event: SliceStarted) -> None:
        index = event.slice.index
        self.index, self.asked_because = index, event.asked_because
        place = self._slices.setdefault(index, _Slice())
        place.record = event.slice
        self._keep(index, event.start)

    def _step(self, event: Stepped) -> Moment:
        place = self._slices.setdefault(event.index, _Slice())
        number, before = len(self.moments), place.mask
        self.index = event.index
        takes_back = None
        if event.undone:
            takes_back = place.standing.pop() if place.standing else None
        else:
            place.standing.append(number)
        step = event.step
        moment = Moment(
            number=number,
            plane=event.plane,
            index=event.index,
            kind=UNDONE if event.undone else step.action.kind,
            author=step.author,
            thought=step.thought or step.reason,
            mask=event.mask,
            before=before,
            score=step.score if step.carried_out and not event.undone else None,
            ijk=event.ijk,
            takes_back=takes_back,
            seconds=step.policy_seconds + step.tool_seconds,
        )
        return self._add(moment, place)

    def _settle(self, event: SliceDone) -> Moment | None:
        """A row only where the agent had worked and the mask is another than it left."""
        place = self._slices.setdefault(event.index, _Slice())
        before = place.mask
        worked_on = any(True for _ in self.of_slice(event.index))
        if event.mask == before or not worked_on:
            self._keep(event.index, event.mask)
            return None
        moment = Moment(
            number=len(self.moments),
            plane=event.plane,
            index=event.index,
            kind=SETTLED,
            author="agent",
            thought=event.answer,
            mask=event.mask,
            before=before,
        )
        return self._add(moment, place)

    def _add(self, moment: Moment, place: _Slice) -> Moment:
        moment = _with_clicks(moment, [*self.moments, moment], place.standing)
        self.moments.append(moment)
        self._keep(moment.index, moment.mask)
        return moment

    def _keep(self, index: int, mask: Rle) -> None:
        place = self._slices[index]
        if place.mask != mask:
            place.mask = mask
            self._changes.append((len(self.moments), index, mask))


def _with_clicks(moment: Moment, moments: list[Moment], standing: list[int]) -> Moment:
    clicks = [moments[number] for number in standing if moments[number].ijk is not None]
    places = tuple(
        Place(click.number, click.ijk, click.kind == POSITIVE, click.thought, number)
        for number, click in enumerate(clicks, start=1)
        if click.ijk is not None
    )
    return Moment(**{**moment.__dict__, "clicks": places})
