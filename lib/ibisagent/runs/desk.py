"""Where a run works: the image, the agent, and an episode on each slice that was turned to.

A desk exists while its run is at work. It tells everything by events, so that another desk can
go on from them: after a rest, and after the server was started anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ibisagent.actions import Click
from ibisagent.agent import Agent
from ibisagent.episode import Author, Episode, Limits, Step, StopReason
from ibisagent.events import Event, Progressed, SliceDone, SliceStarted, Stepped
from ibisagent.policies.base import Cancelled
from ibisagent.propagation.carry_anew import carry_anew
from ibisagent.propagation.progress import Progress
from ibisagent.reopen import allowance, reopen
from ibisagent.rle import Rle
from ibisagent.runs.orders import RunRequest, Then
from ibisagent.runs.story import Story
from ibisagent.segment import Scope, play, slice_indices, slice_mm
from ibisagent.slice_player import NOTHING_GIVEN, Given, SlicePlayer
from ibisagent.slices import SliceView
from ibisagent.tools.base import Segmentation
from ibisagent.trajectory import CarriedSlice, Trajectory, step_record


@dataclass(frozen=True)
class Clicked:
    """A person has clicked."""

    index: int
    click: Click
    then: Then


@dataclass(frozen=True)
class StepBack:
    """A person takes the last step of a slice back."""

    index: int


@dataclass(frozen=True)
class GoOn:
    """A person lets the agent go on."""

    index: int


Order = Clicked | StepBack | GoOn


@dataclass(frozen=True)
class Hands:
    """What a desk reaches for outside of itself.

    Attributes:
        emit: Numbers an event, writes it down, and adds it to the story.
        keep: Writes down a slice that the tool was trusted with.
        carried: Those written down so far, oldest first.
        next_order: The oldest order not yet carried out, or None.
        cancelled: Read before each call of policy and tool.
        keep_warm: Keeps a slice's last segmentation for the next desk.
        warm: Gives it back to an episode that is reopened.
    """

    emit: Callable[[Event], None]
    keep: Callable[[CarriedSlice], None]
    carried: Callable[[], list[CarriedSlice]]
    next_order: Callable[[], Order | None]
    cancelled: Cancelled
    keep_warm: Callable[[int, Episode], None]
    warm: Callable[[int, Episode], None]


class Desk:
    """One run at work.

    Args:
        request: Of the run.
        image: The whole image.
        view: The image in the plane of the request.
        agent: Who works.
        story: What has happened so far; `Hands.emit` keeps it up to date.
        hands: See `Hands`.

    Attributes:
        answer: One sentence about what was done last.
    """

    def __init__(
        self,
        request: RunRequest,
        image: sitk.Image,
        view: SliceView,
        agent: Agent,
        story: Story,
        hands: Hands,
    ) -> None:
        self._request, self._image, self._view = request, image, view
        self._story, self._hands = story, hands
        self._episodes: dict[int, Episode] = {}
        self._changed_by_hand: set[int] = set()
        self._to_ask: list[int] = []
        self._to_carry_from: list[int] = []
        self._orders_taken = 0
        self.answer = ""
        self._player = SlicePlayer(
            view=view,
            agent=agent,
            prompt=request.prompt,
            limits=Limits(max_steps=request.max_steps),
            name=request.image,
            window=request.window,
            on_step=self._tell_step,
            cancelled=hands.cancelled,
            on_open=self._tell_open,
            between=self._take_orders,
        )

    def begin(self, given: Given) -> None:
        """Carry the request out, from what a person has given.

        Raises:
            IBISAgentError: Model, tool or disk failed.
            Interrupted: Cancelled.
        """
        self._tell_given(given)
        self._player.given = given
        if self._request.wait_for_human:
            self._lay_out(given)
        else:
            self._carry_out_request()
        self.serve()

    def serve(self) -> None:
        """Carry out all orders that wait, and let the agent go on where they ask for it.

        What the tool had carried through a volume is then carried anew from the slices that have
        changed.

        Raises:
            IBISAgentError: Model, tool or disk failed.
            Interrupted: Cancelled.
        """
        self._player.given = NOTHING_GIVEN
        self._take_orders()
        while (self._to_ask or self._to_carry_from) and not self._hands.cancelled():
            if not self._to_ask:
                self._carry_from(self._to_carry_from.pop(0))
            elif self._not_begun:
                self._to_ask.pop(0)
                self._begin_late()
            else:
                self._ask(self._to_ask.pop(0))
            self._take_orders()

    def leave(self) -> None:
        """Keep what the records do not hold, for whoever goes on."""
        for index, episode in self._episodes.items():
            self._hands.keep_warm(index, episode)

    @property
    def _not_begun(self) -> bool:
        """Whether a request for several slices still waits for a person to say 'continue'."""
        steps = (step for slice_ in self._story.slices.values() for step in slice_.steps)
        waits = self._request.wait_for_human and self._request.scope is not Scope.SLICE
        return waits and not any(step.author is Author.AGENT for step in steps)

    def _begin_late(self) -> None:
        """Carry the request out, from what a person has done while the agent waited."""
        mask, prompt = self._story.paint(self._view), self._request.prompt
        records = self._story.trajectories(prompt, self._player.agent.profile.name)
        marked = mask if mask.any() else None
        self._player.given = Given(marked, {}, {record.slice.index: record for record in records})
        self._carry_out_request()
        self._player.given = NOTHING_GIVEN

    def _carry_out_request(self) -> None:
        result = play(
            self._player, self._image, self._request, self._tell_done, self._tell_progress
        )
        self.answer = result.answer
        if self._request.clean:
            self._tell_cleaned(result.mask)

    def _lay_out(self, given: Given) -> None:
        """Turn to the slices that a person means, without asking the agent."""
        indices = {*given.clicks, *given.records}
        if self._request.scope is Scope.SLICE:
            indices.update(slice_indices(self._view, self._request))
        for index in sorted(indices):
            self._player.open(index)
        self.answer = "The agent waits for you: click, or let it go on."

    def _ask(self, index: int) -> None:
        episode = self._episode(index)
        self._player.go_on({index: episode})
        stop = episode.stop
        self._tell_slice(index, stop, episode.answer)
        why = stop.value.replace("_", " ") if stop else "not finished"
        self.answer = episode.answer or f"The agent stopped: {why}."
        self._note_change(index)

    def _note_change(self, index: int) -> None:
        """Let what hangs on a slice be carried anew, after the orders that wait."""
        if index not in self._to_carry_from:
            self._to_carry_from.append(index)

    def _carry_from(self, index: int) -> None:
        """Carry masks anew between a slice and the key slices around it."""
        by_tool = {one.slice.index for one in self._hands.carried()}
        for low, high in self._story.carried_around(index, by_tool):
            if not self._carry_between(low, high):
                self._note_change(index)
                return

    def _carry_between(self, low: int, high: int) -> bool:
        """Whether all was carried; an order that comes in meanwhile goes first."""
        taken, anew = self._orders_taken, 0
        volume = self._story.paint(self._view)
        distance = slice_mm(self._image, self._view)
        for record in carry_anew(self._player, distance, volume, (low, high)):
            self._tell_done(record)
            anew += 1
            self._take_orders()
            if self._orders_taken != taken:
                return False
        kept = high - low - 1 - anew
        self.answer += f" {anew} slices between {low} and {high} were carried anew"
        self.answer += f", {kept} stay as they were." if kept else "."
        return True

    def _take_orders(self) -> None:
        while order := self._hands.next_order():
            self._orders_taken += 1
            if isinstance(order, Clicked):
                self._click(order)
            elif isinstance(order, StepBack):
                self._step_back(order.index)
            else:
                self._let_go_on(order.index)

    def _click(self, order: Clicked) -> None:
        index, episode = order.index, self._episode(order.index)
        stop, at_work = episode.stop, index in self._player.playing and episode.stop is None
        step = episode.click(order.click)
        self._changed_by_hand.add(index)
        self._tell_step(index, step)
        if at_work:
            return
        if order.then is Then.AGENT:
            self._let_go_on(index)
            return
        episode.stop = stop
        self._tell_slice(index, stop)
        self.answer = f"Slice {index} was changed by a person's click."
        self._note_change(index)

    def _step_back(self, index: int) -> None:
        """Take a step back and hold the slice, or the agent would take the same step again."""
        episode = self._episode(index)
        step = episode.undo()
        if step is None:
            return
        self._changed_by_hand.add(index)
        if index in self._player.playing:
            episode.stop = StopReason.CANCELLED
        self._tell_step(index, step, undone=True)
        self._tell_slice(index, None)
        self.answer = f"The last step on slice {index} was taken back."
        self._note_change(index)

    def _let_go_on(self, index: int) -> None:
        episode = self._episode(index)
        episode.stop = None
        episode.limits = allowance(episode, self._player.limits)
        if index not in self._player.playing and index not in self._to_ask:
            self._to_ask.append(index)

    def _episode(self, index: int) -> Episode:
        """The episode of a slice: at hand, from the record, or a new one on what stands."""
        if index not in self._episodes:
            player, prompt = self._player, self._request.prompt
            record = self._story.trajectory(index, prompt, player.agent.profile.name)
            if record is None:
                so_far = self._story.slices.get(index)
                mask = so_far.mask.decode() if so_far else None
                start = Segmentation(mask, 1.0) if mask is not None else None
                player.at_hand[index] = player.open(index, start)
            else:
                picture = self._view.rgb(index)
                self._episodes[index] = reopen(record, picture, player.agent, player.limits)
                self._hands.warm(index, self._episodes[index])
        return self._episodes[index]

    def _tell_given(self, given: Given) -> None:
        """Tell the slices of a mask that a person has brought; records tell themselves."""
        if given.mask is None:
            return
        for index in range(self._view.count):
            mask = given.on(self._view, index)
            if mask is not None and index not in given.records:
                self._emit_done(index, Rle.encode(mask), carried=True)

    def _tell_open(self, index: int, episode: Episode, why: str) -> None:
        self._episodes[index] = episode
        start = episode.start.mask if episode.start else np.zeros(self._view.shape, bool)
        where = self._player.where(index)
        self._hands.emit(SliceStarted(slice=where, start=Rle.encode(start), asked_because=why))

    def _tell_step(self, index: int, step: Step, undone: bool = False) -> None:
        so_far = self._story.slices[index]
        record, episode = step_record(step), self._episodes[index]
        mask = Rle.encode(episode.segmentation.mask) if undone else record.mask
        pixel = record.pixel
        ijk = None if pixel is None else self._view.pixel_to_index(*pixel, index)
        self._hands.emit(
            Stepped(
                plane=self._view.plane.value,
                index=index,
                number=len(so_far.steps) + (-1 if undone else 1),
                undone=undone,
                ijk=ijk,
                step=record,
                mask=mask,
            )
        )

    def _tell_done(self, record: Trajectory | CarriedSlice) -> None:
        index = record.slice.index
        if isinstance(record, CarriedSlice):
            self._hands.keep(record)
            if index in self._changed_by_hand:
                return  # it was clicked on before the tool came here
            self._emit_done(index, record.mask, carried=True)
        else:
            self._emit_done(index, record.mask, record.stop, record.answer)

    def _tell_slice(self, index: int, stop: StopReason | None, answer: str = "") -> None:
        mask = self._episodes[index].segmentation.mask
        self._emit_done(index, Rle.encode(mask), stop, answer)

    def _tell_cleaned(self, volume: NDArray[np.uint8]) -> None:
        """Tell the slices that a step on the finished mask has changed."""
        cleaned = volume.reshape(self._view.volume_shape)
        for index, slice_ in sorted(self._story.slices.items()):
            mask = Rle.encode(self._view.from_volume(cleaned, index))
            if mask != slice_.mask and index not in self._changed_by_hand:
                carried = slice_.where is None
                self._emit_done(index, mask, slice_.stop, slice_.answer, carried)

    def _emit_done(
        self,
        index: int,
        mask: Rle,
        stop: StopReason | None = None,
        answer: str = "",
        carried: bool = False,
    ) -> None:
        plane = self._view.plane.value
        self._hands.emit(
            SliceDone(
                plane=plane, index=index, stop=stop, carried=carried, mask=mask, answer=answer
            )
        )

    def _tell_progress(self, progress: Progress) -> None:
        self._hands.emit(
            Progressed(done=progress.done, left=progress.left, seconds_left=progress.seconds_left)
        )
