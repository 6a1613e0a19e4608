"""Calls to the server on threads of their own; the GUI polls what they have to say.

Every function of `Worker` returns at once. A timer on the GUI thread calls `Worker.poll` a few
times a second and gets messages: answers, refusals, events. No exception is lost: whatever goes
wrong on a thread comes out as a message.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .client import Client
from .errors import Cancelled
from .follower import Follower
from .lane import Call, Job, Lane
from .messages import Answered, Happened, Message, Refused, Rested, Sent
from .run_fields import Click, RunDescription, RunRequest
from .upload import Snapshot, upload

__all__ = ["Answered", "Happened", "Message", "Refused", "Rested", "Sent", "Worker"]

STEADY, URGENT, ASIDE = "steady", "urgent", "aside"
"""Lanes: commands in order; cancelling, which may not wait behind an upload; questions such as
the state of training, which may not make the commands wait."""


class Worker:
    """Threads that talk to one server.

    Args:
        client: Of that server. The worker closes it when it stops.

    After `start`, and after each `click`, `undo` and `go_on`, the run's events are followed until
    it rests; `follow` does so for a run that is going on already.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._tickets = itertools.count(1)
        self._lanes: dict[str, Lane] = {}
        self._followers: dict[str, Follower] = {}
        self._aborted: dict[int, threading.Event] = {}
        self._lock = threading.Lock()
        self._stopped = False

    # What the GUI thread calls

    def poll(self, limit: int = 500) -> list[Message]:
        """Messages since the last call, oldest first; never waits.

        Args:
            limit: At most so many; the others wait for the next call.
        """
        found: list[Message] = []
        while len(found) < limit:
            try:
                found.append(self._messages.get_nowait())
            except queue.Empty:
                break
        return found

    def stop(self, timeout: float = 0.5) -> bool:
        """End all threads; runs on the server go on unless they were cancelled.

        What was asked of the urgent lane, such as `cancel`, still gets its chance.

        Args:
            timeout: Seconds to wait for them, together.

        Returns:
            Whether all have ended. One that has not is bound to end with its present call, and
            holds up nothing.
        """
        with self._lock:
            self._stopped = True
            aborted = list(self._aborted.values())
            parts: list[Follower | Lane] = [*self._followers.values(), *self._lanes.values()]
            urgent = self._lanes.get(URGENT)
        deadline = time.monotonic() + timeout
        for event in aborted:
            event.set()
        if urgent is not None:
            urgent.finish(timeout)
        self.client.close()
        for part in parts:
            part.end()
        for part in parts:
            part.thread.join(max(0.0, deadline - time.monotonic()))
        return not any(part.thread.is_alive() for part in parts)

    def check(self) -> int:
        """Test the connection; answers with `ServerInfo`."""
        return self.call("check", Client.check)

    def start(self, request: RunRequest, snapshot: Snapshot | None = None) -> int:
        """Start a run, and follow it; answers with its `RunDescription`.

        Args:
            request: Its `image` is not looked at where a snapshot is given.
            snapshot: The volume to segment; it is sent where the server does not have it.
        """
        ticket = next(self._tickets)
        aborted = self._aborted[ticket] = threading.Event()

        def run(client: Client) -> RunDescription:
            try:
                return self._start(client, request, snapshot, ticket, aborted)
            finally:
                self._aborted.pop(ticket, None)

        self._submit(STEADY, Job(ticket, "start", run, lambda begun: self.follow(begun.run)))
        return ticket

    def abort(self, ticket: int) -> None:
        """Stop a `start` that has not answered yet: its upload, and its run should it begin."""
        aborted = self._aborted.get(ticket)
        if aborted is not None:
            aborted.set()

    def follow(self, run: str, since: int = 0) -> None:
        """Get a run's events after a number, until it rests."""
        with self._lock:
            if self._stopped:
                return
            follower = self._followers.get(run)
            if follower is None or not follower.again():
                last = follower.last if follower else since
                self._followers[run] = Follower(self.client, run, last, self._messages.put)

    def click(self, run: str, click: Click, then: str = "wait") -> int:
        """A person's click."""
        return self._on_run("click", run, lambda client: client.click(run, click, then))

    def undo(self, run: str, index: int) -> int:
        """Take back the last step of a slice."""
        return self._on_run("undo", run, lambda client: client.undo(run, index))

    def go_on(self, run: str, index: int) -> int:
        """Let the agent go on, on a slice."""
        return self._on_run("go_on", run, lambda client: client.go_on(run, index))

    def cancel(self, run: str) -> int:
        """Stop a run; overtakes everything else."""
        return self.call("cancel", lambda client: client.cancel(run), URGENT)

    def accept(self, run: str, tag: str = "final", label: str = "") -> int:
        """Keep the mask as a label; answers with the label's identifier."""
        return self.call("accept", lambda client: client.accept(run, tag, label), STEADY)

    def mask(self, run: str, path: Path) -> int:
        """Fetch the mask as it stands into a file; answers with its path."""
        return self.call("mask", lambda client: client.mask(run, path), STEADY)

    def call(self, command: str, function: Call, lane: str = ASIDE) -> int:
        """Any other function of the client.

        Args:
            command: Name for the messages.
            function: Gets the client; what it returns is the answer.
            lane: STEADY, URGENT or ASIDE.

        Returns:
            The ticket that the messages bear.
        """
        ticket = next(self._tickets)
        self._submit(lane, Job(ticket, command, function))
        return ticket

    # What its threads do

    def _on_run(self, command: str, run: str, function: Call) -> int:
        ticket = next(self._tickets)
        self._submit(STEADY, Job(ticket, command, function, lambda _: self.follow(run)))
        return ticket

    def _start(
        self,
        client: Client,
        request: RunRequest,
        snapshot: Snapshot | None,
        ticket: int,
        aborted: threading.Event,
    ) -> RunDescription:
        def check_abort() -> None:
            if aborted.is_set():
                raise Cancelled

        def on_sent(sent: int, total: int) -> None:
            check_abort()
            seldom(Sent(ticket, sent, total))

        seldom = _Seldom(self._messages.put)
        check_abort()
        if snapshot is not None:
            request = replace(request, image=upload(client, snapshot, on_sent))
        check_abort()
        description = client.start(request)
        if aborted.is_set():
            client.cancel(description.run)
            raise Cancelled
        return description

    def _submit(self, lane: str, job: Job) -> None:
        with self._lock:
            if not self._stopped:
                if lane not in self._lanes:
                    self._lanes[lane] = Lane(lane, self.client, self._messages.put)
                self._lanes[lane].jobs.put(job)
                return
        self._messages.put(Refused(job.ticket, job.command, Cancelled()))


class _Seldom:
    """Passes on the first message, the last one, and a few a second of those between."""

    def __init__(self, tell: Callable[[Message], None], seconds: float = 0.1) -> None:
        self._tell, self._seconds = tell, seconds
        self._next = 0.0

    def __call__(self, message: Sent) -> None:
        if time.monotonic() >= self._next or message.sent == message.total:
            self._next = time.monotonic() + self._seconds
            self._tell(message)
