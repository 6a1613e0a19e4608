"""A run's events, in order and without gaps, however bad the connection is."""

from __future__ import annotations

import logging
import threading
import time
import typing
from collections.abc import Iterator
from dataclasses import dataclass

from .client import Client
from .errors import (
    ClientError,
    EventsLost,
    ServerRefused,
    ServerTimedOut,
    ServerUnreachable,
    UnreadableAnswer,
)
from .protocol import Event, Failed, Finished, read_event
from .transport import pieces

if typing.TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 64 * 2**20
"""A longer line is no event of ours."""

_PASSING = (429, 500, 502, 503, 504)  # refusals that another moment may lift


@dataclass(frozen=True)
class Patience:
    """How long the stream bears what goes wrong, in seconds and times.

    Attributes:
        heartbeat: Without a sign of life, the connection counts as dead.
        backoff: Before the first attempt to reconnect; doubled each time, up to `longest`.
        longest: Between two attempts.
        give_up: Without a sign of life, the error is told.
        streams: Streams in a row without a sign of life, after which it polls instead.
        poll: Between two polls.
        repeats: Times in a row that the same place of the stream may be broken.
    """

    heartbeat: float = 15.0
    backoff: float = 0.25
    longest: float = 5.0
    give_up: float = 120.0
    streams: int = 2
    poll: float = 0.7
    repeats: int = 3


class EventStream:
    """Iterates over a run's events until it rests, is cancelled, or cannot be watched.

    Streams; where that brings nothing (a proxy that holds answers back), polls. A dropped
    connection is taken up after the last event; events that come twice are passed over, events
    that are missing are asked for again.

    Iterating raises `ServerUnreachable` (for `Patience.give_up` seconds), `ServerRefused` (the
    server knows the run no longer, or wants a token), `UnreadableAnswer` (the same line is
    broken each time), `EventsLost` (events stay missing) or `WrongVersion`.

    Args:
        client: Of the server.
        run: Identifier.
        since: Number of the last event that is known.
        patience: How long it bears what goes wrong.

    Attributes:
        last: Number of the last event that came.
    """

    def __init__(
        self, client: Client, run: str, since: int = 0, patience: Patience | None = None
    ) -> None:
        self.last = since
        self._client, self._run = client, run
        self._patience = patience or Patience()
        self._cancelled = threading.Event()
        self._answer: requests.Response | None = None
        self._lock = threading.Lock()
        self._resting = False
        self._alive = time.monotonic()
        self._setbacks = _Setbacks()

    def cancel(self) -> None:
        """End the iteration at once, from any thread."""
        self._cancelled.set()
        with self._lock:
            if self._answer is not None:
                _interrupt(self._answer)

    def __iter__(self) -> Iterator[Event]:
        self._alive = time.monotonic()
        while not self._cancelled.is_set():
            polling = self._setbacks.silent >= self._patience.streams
            try:
                yield from self._events(follow=not polling)
                if self._resting or self._rests():
                    return
            except ClientError as error:
                if self._cancelled.is_set():
                    return
                self._bear(error)
            else:
                self._cancelled.wait(self._patience.poll if polling else self._patience.backoff)

    def _events(self, follow: bool) -> Iterator[Event]:
        """Those that one connection brings."""
        patience = self._patience
        answer = self._client.events(self._run, self.last, follow, patience.heartbeat)
        with self._lock:
            self._answer = answer
            if self._cancelled.is_set():
                _interrupt(answer)
        try:
            for line in self._lines(answer, follow):
                event = self._take(line)
                if event is not None:
                    yield event
        finally:
            with self._lock:
                self._answer = None
                answer.close()

    def _lines(self, answer: requests.Response, follow: bool) -> Iterator[bytes]:
        """Whole lines, each as soon as it is there; blank ones are signs of life."""
        _check_type(answer)
        rest = bytearray()
        for piece in pieces(answer):
            if self._cancelled.is_set():
                return
            self._live(follow)
            rest += piece
            if len(rest) > MAX_LINE_BYTES:
                raise UnreadableAnswer(
                    "The server sent a line without an end.", "See the server's log."
                )
            if b"\n" in piece:
                *whole, rest = rest.split(b"\n")
                yield from (bytes(line) for line in whole if line.strip())
        if rest.strip():
            raise UnreadableAnswer(
                "The stream of events broke off in a line.", "See whether the server still runs."
            )
        self._live(follow)

    def _live(self, follow: bool) -> None:
        self._alive = time.monotonic()
        if follow:
            self._setbacks.silent = 0

    def _take(self, line: bytes) -> Event | None:
        """The event, if it is the next one and known."""
        number, event = read_event(line)
        if number <= self.last:
            return None
        if number > self.last + 1:
            raise EventsLost(
                f"Events {self.last + 1} to {number - 1} of the run are missing.",
                "The result on the server is whole: fetch the mask.",
            )
        self.last = number
        self._resting = isinstance(event, (Finished, Failed))
        self._setbacks.broken = self._setbacks.refused = 0
        return event

    def _rests(self) -> bool:
        """Whether the stream ended because the run rests, as the server describes it."""
        description = self._client.run(self._run)
        return description.at_rest and description.events <= self.last

    def _bear(self, error: ClientError) -> None:
        """Wait a moment before the next attempt, or raise: some errors stay."""
        self._setbacks.silent += isinstance(error, ServerTimedOut)
        if not self._may_pass(error):
            raise error
        if time.monotonic() - self._alive > self._patience.give_up:
            raise error
        count = self._setbacks.refused
        self._setbacks.refused += 1
        delay = min(self._patience.backoff * 2**count, self._patience.longest)
        logger.info("events of %s: %s; again in %.1f s", self._run, error, delay)
        self._cancelled.wait(delay)

    def _may_pass(self, error: ClientError) -> bool:
        if isinstance(error, ServerUnreachable):
            return True
        if isinstance(error, ServerRefused):
            return error.status in _PASSING
        if isinstance(error, (UnreadableAnswer, EventsLost)):
            self._setbacks.broken += 1
            return self._setbacks.broken <= self._patience.repeats
        return False


@dataclass
class _Setbacks:
    """What went wrong since the last event.

    Attributes:
        silent: Streams in a row without a sign of life.
        broken: Broken lines and gaps.
        refused: Connections that failed.
    """

    silent: int = 0
    broken: int = 0
    refused: int = 0


def _check_type(answer: requests.Response) -> None:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "text/html":
        raise UnreadableAnswer(
            "Where events should be, a web page came.",
            "Look whether the address is that of the server and not of something before it.",
        )


def _interrupt(answer: requests.Response) -> None:
    """Wake the thread that waits for this answer's next bytes.

    urllib3 can do so since 2.3; with an older one, the thread ends with the next sign of life.
    """
    shutdown = getattr(answer.raw, "shutdown", None)
    if shutdown is not None:
        try:
            shutdown()
        except (OSError, RuntimeError, ValueError):
            logger.debug("the stream had ended already", exc_info=True)
