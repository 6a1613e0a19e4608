"""One run: a request that is worked on in a thread of its own, and may be stepped into.

It is queued, running, resting, or failed. What it did is in its events; the rest of it, in
memory, is what it is doing.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial
from threading import RLock, Thread

import numpy as np
from numpy.typing import NDArray

from ibisagent.agent import Agent
from ibisagent.errors import IBISAgentError, InvalidRequest, NothingToUndo, RunGoingOn
from ibisagent.events import Event, Failed, Finished, Progressed, Started
from ibisagent.policies.base import Cancelled
from ibisagent.runs.description import RunDescription, State
from ibisagent.runs.desk import Clicked, Desk, GoOn, Hands, Order, StepBack
from ibisagent.runs.geometry import Geometry
from ibisagent.runs.image_shelf import OpenedImage
from ibisagent.runs.line import Place
from ibisagent.runs.orders import ClickOrder, SliceOrder
from ibisagent.runs.run_folder import RunFolder
from ibisagent.runs.story import Story
from ibisagent.runs.turns import Interrupted
from ibisagent.runs.warm_masks import WarmMasks
from ibisagent.slice_player import Given, check_slice
from ibisagent.slices import SliceView
from ibisagent.trajectory import CarriedSlice, Trajectory

logger = logging.getLogger(__name__)

UseAgent = Callable[[Cancelled], AbstractContextManager[Agent]]
"""The agent for a run; each of its calls takes turns with those of others."""

STOPPED_WITH_SERVER = "The server was stopped while the run went on; what stood then is kept."


class Run:
    """One run.

    Args:
        folder: Where it is kept; what its events tell is taken up.
        use_agent: See `UseAgent`.
        open_image: Reads the run's image, or finds it in memory.
        warm: Shared by all runs.
    """

    def __init__(
        self,
        folder: RunFolder,
        use_agent: UseAgent,
        open_image: Callable[[str], OpenedImage],
        warm: WarmMasks,
    ) -> None:
        self.folder, self.facts, self.log = folder, folder.facts, folder.log
        self._use_agent, self._open_image, self._warm = use_agent, open_image, warm
        self._lock = RLock()
        self._orders: deque[Order] = deque()
        self._cancelled = False
        self._farewell = ""
        self._forgotten = False
        self._place: Place | None = None
        self._story: Story | None = None
        self._began: float | None = None
        self.seconds, self.answer, self.found = 0.0, "", False
        self.error: dict[str, str] | None = None
        self.failure: Exception | None = None
        self.state = State.RESTING
        self.seen = time.monotonic()
        self._take_up()

    @property
    def name(self) -> str:
        """Its identifier."""
        return self.facts.run

    @property
    def at_work(self) -> bool:
        """Whether events may still come without a further order."""
        return self.state in (State.QUEUED, State.RUNNING)

    def touch(self) -> None:
        """Note that somebody watches."""
        self.seen = time.monotonic()

    def describe(self) -> RunDescription:
        """The run as clients see it."""
        request, place, began = self.facts.request, self._place, self._began
        since = time.monotonic() - began if began is not None else 0.0
        return RunDescription(
            run=self.name,
            state=self.state,
            image=request.image,
            prompt=request.prompt,
            plane=self.facts.plane,
            scope=request.scope.value,
            queue=place.before if place is not None and self.state is State.QUEUED else 0,
            events=len(self.log),
            author=self.facts.author,
            created=self.facts.created,
            seconds=round(self.seconds + since, 3),
            answer=self.answer,
            found=self.found,
            error=self.error,
        )

    def recover(self) -> None:
        """Put a run to rest that the end of an earlier server has cut off."""
        if isinstance(self.log.last, Failed | Finished):
            return
        self.answer, self.found = STOPPED_WITH_SERVER, self.story().found
        event = Finished(answer=self.answer, found=self.found, cancelled=True, seconds=0.0)
        with suppress(IBISAgentError):  # the disk may be full; it can be told all the same
            self.log.append(event)

    def begin(self, place: Place, given: Given) -> None:
        """Set to work on the request as soon as the place allows.

        Args:
            place: Booked for this run, which gives it back.
            given: What a person brings.
        """
        self._place = place
        self._launch(State.QUEUED, lambda desk: desk.begin(given))

    def click(self, order: ClickOrder) -> None:
        """Take a person's click.

        Raises:
            SliceOutOfRange: There is no such slice.
            InvalidClick: The click is outside the image.
        """
        index, click = order.on(self._view())
        self._take(Clicked(index, click, order.then))

    def undo(self, order: SliceOrder) -> None:
        """Take the last step of a slice back.

        Raises:
            SliceOutOfRange: There is no such slice.
            NothingToUndo: No step stands there.
        """
        check_slice(self._view(), order.index)
        with self._lock:
            slice_ = self.story().slices.get(order.index)
            if not self.at_work and not (slice_ and slice_.steps):
                raise NothingToUndo(
                    f"No step stands on slice {order.index}.", "Undo on a slice that was clicked."
                )
            self._take(StepBack(order.index))

    def go_on(self, order: SliceOrder) -> None:
        """Let the agent go on, on a slice.

        Raises:
            SliceOutOfRange: There is no such slice.
        """
        check_slice(self._view(), order.index)
        self._take(GoOn(order.index))

    def cancel(self, farewell: str = "Cancelled; what stood then is kept.") -> None:
        """Stop before the next call of model or tool; what waits to be done is dropped."""
        with self._lock:
            if self.at_work:
                self._cancelled, self._farewell = True, farewell
                self._orders.clear()

    def story(self) -> Story:
        """What happened so far; kept in memory only while the run is at work."""
        with self._lock:
            return self._story or Story(self.log.events())

    def mask(self) -> NDArray[np.uint8]:
        """The mask as it stands, in the image's own axes, uint8, 1 where the target is."""
        with self._lock:
            painted = self.story().paint(self._view())
        return painted.reshape(self.facts.geometry.size[::-1])

    def trajectories(self) -> tuple[list[Trajectory], list[CarriedSlice]]:
        """Records of the slices that agent or person worked on, and of those carried over."""
        with self._lock:
            story = self.story()
            records = story.trajectories(self.facts.request.prompt, self.facts.profile)
        played = {record.slice.index for record in records}
        carried = {one.slice.index: one for one in self.folder.carried()}
        return records, [one for index, one in sorted(carried.items()) if index not in played]

    def forget(self) -> None:
        """Remove it from the disk, at once or as soon as it rests."""
        with self._lock:
            self._forgotten = True
            if not self.at_work:
                self.folder.delete()

    def require_rest(self) -> None:
        """Refuse while the run goes on.

        Raises:
            RunGoingOn: It does.
        """
        if self.at_work:
            raise RunGoingOn("The run is still going on.", "Wait until it rests, or cancel it.")

    def wait(self, seconds: float) -> bool:
        """Wait until the run rests; whether it does."""
        deadline = time.monotonic() + seconds
        while self.at_work and time.monotonic() < deadline:
            time.sleep(0.01)
        return not self.at_work

    def _view(self) -> SliceView:
        return self.facts.geometry.view(self.facts.request.plane)

    def _take_up(self) -> None:
        """Be as the events say."""
        last = self.log.last
        if isinstance(last, Failed):
            self.state, self.error = State.FAILED, _error(last)
        elif isinstance(last, Finished):
            self.answer, self.found, self.seconds = last.answer, last.found, last.seconds

    def _take(self, order: Order) -> None:
        with self._lock:
            if self.at_work and self._cancelled:
                raise RunGoingOn("The run is being cancelled.", "Try again in a moment.")
            self._orders.append(order)
            if not self.at_work:
                self._launch(State.RUNNING, Desk.serve)

    def _launch(self, state: State, work: Callable[[Desk], None]) -> None:
        with self._lock:
            self.state, self.error, self._cancelled = state, None, False
            self.failure = None
            self.touch()
            self._story = Story(self.log.events())
            self._began = time.monotonic()
        name = f"run {self.name}"
        Thread(target=self._work, args=(work,), name=name, daemon=True).start()

    def _work(self, work: Callable[[Desk], None]) -> None:
        try:
            try:
                self._work_in_place(work)
            except Interrupted:
                self._rest()
        except IBISAgentError as error:
            self.failure = error
            self._fail(error.code, error.message, error.fix)
        except Exception as error:
            self.failure = error
            logger.exception("run %s failed unexpectedly", self.name)
            message = f"The server failed unexpectedly ({type(error).__name__})."
            fix = "The server's log has the details; please report them."
            self._fail("internal_error", message, fix)

    def _work_in_place(self, work: Callable[[Desk], None]) -> None:
        with ExitStack() as stack:
            if self._place is not None:
                stack.enter_context(self._place)
                self._place.wait(lambda: self._cancelled, self._tell_queue)
            self.state = State.RUNNING
            opened = self._opened()
            agent = stack.enter_context(self._use_agent(lambda: self._cancelled))
            agent = agent.with_seed(self.facts.request.seed)
            self._work_at(self._desk(opened, agent), agent, work)

    def _work_at(self, desk: Desk, agent: Agent, work: Callable[[Desk], None]) -> None:
        request = self.facts.request
        self._emit(
            Started(
                run=self.name,
                image=request.image,
                prompt=request.prompt,
                scope=request.scope.value,
                plane=self.facts.plane,
                policy=agent.policy.name,
                tool=agent.tool.name,
            )
        )
        work(desk)
        desk.leave()  # before it rests, as the next order may come at once
        while not self._rest(desk.answer):
            desk.serve()
            desk.leave()

    def _opened(self) -> OpenedImage:
        opened = self._open_image(self.facts.request.image)
        if Geometry.of(opened.image) != self.facts.geometry:
            raise InvalidRequest(
                "The image is not the one that the run was started on.",
                "Start a new run on the image as it is now.",
            )
        return opened

    def _desk(self, opened: OpenedImage, agent: Agent) -> Desk:
        request = self.facts.request
        hands = Hands(
            emit=self._emit,
            keep=self.folder.keep_carried,
            carried=self.folder.carried,
            next_order=self._next_order,
            cancelled=lambda: self._cancelled,
            keep_warm=partial(self._warm.keep, self.name),
            warm=partial(self._warm.warm, self.name),
        )
        view = opened.view(request.plane, request.window)
        return Desk(request, opened.image, view, agent, self.story(), hands)

    def _next_order(self) -> Order | None:
        with self._lock:
            return self._orders.popleft() if self._orders else None

    def _emit(self, event: Event) -> None:
        with self._lock:
            if self._story is not None:
                self._story.add(event)
            self.log.append(event)

    def _tell_queue(self, before: int) -> None:
        self._emit(Progressed(done=0, left=0, queue=before))

    def _rest(self, answer: str = "") -> bool:
        """Come to rest, unless an order has come in meanwhile."""
        with self._lock:
            if self._orders and not self._cancelled:
                return False
            self._settle_seconds()
            self.answer = self._farewell if self._cancelled else answer
            self.found = self.story().found
            event = Finished(
                answer=self.answer,
                found=self.found,
                cancelled=self._cancelled,
                seconds=round(self.seconds, 3),
            )
            self.log.append(event)
            self._end(State.RESTING)
            return True

    def _fail(self, code: str, message: str, fix: str) -> None:
        with self._lock:
            self._settle_seconds()
            event = Failed(code=code, message=message, fix=fix)
            logger.warning("run %s failed: %s", self.name, message)
            self.error, self.found = _error(event), self.story().found
            with suppress(IBISAgentError):  # a full disk; those who watch are told all the same
                self.log.append(event)
            self._orders.clear()
            self._end(State.FAILED)

    def _settle_seconds(self) -> None:
        if self._began is not None:
            self.seconds += time.monotonic() - self._began
            self._began = None

    def _end(self, state: State) -> None:
        if self._place is not None:  # before it is told, as another run may be started then
            self._place.leave()
        self._story, self._place, self.state = None, None, state
        if self._forgotten:
            self.folder.delete()
        self.log.notify()


def _error(event: Failed) -> dict[str, str]:
    return {"code": event.code, "message": event.message, "fix": event.fix}
