"""How many runs are at work at once, and who is next."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition
from types import TracebackType

from ibisagent.errors import TooManyRuns
from ibisagent.policies.base import Cancelled, never
from ibisagent.runs.turns import Interrupted

_LOOK_SECONDS = 0.2


class Line:
    """First come, first served, up to a number at once.

    Args:
        at_once: Most places in front, at least 1.
        waiting: Most places behind them.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self.at_once, self.waiting = at_once, waiting
        self._places: list[Place] = []
        self._changed = Condition()

    def book(self) -> Place:
        """A place at the end, which must be entered or given back.

        Raises:
            TooManyRuns: There is none left.
        """
        with self._changed:
            if len(self._places) >= self.at_once + self.waiting:
                raise TooManyRuns(
                    f"{self.at_once} runs are at work and {self.waiting} wait, which is all that "
                    "this server takes.",
                    "Try again when one has ended, or cancel one; the server's settings "
                    "runs_at_once and runs_waiting say how many there may be.",
                )
            place = Place(self, self._changed)
            self._places.append(place)
            return place

    def before(self, place: Place) -> int:
        """Places that must be given back before this one may work; 0 where it may."""
        with self._changed:
            if place not in self._places:
                return 0
            return max(self._places.index(place) + 1 - self.at_once, 0)

    def leave(self, place: Place) -> None:
        """Give a place back; those behind move up."""
        with self._changed:
            if place in self._places:
                self._places.remove(place)
            self._changed.notify_all()


class Place:
    """A place in a line; a ``with`` block over it gives it back at the end.

    Args:
        line: The line.
        changed: Notified whenever somebody leaves.
    """

    def __init__(self, line: Line, changed: Condition) -> None:
        self._line, self._changed = line, changed

    @property
    def before(self) -> int:
        """See `Line.before`."""
        return self._line.before(self)

    def wait(self, cancelled: Cancelled = never, tell: Callable[[int], None] | None = None) -> None:
        """Wait until it is this place's turn to work.

        Args:
            cancelled: Read often.
            tell: Called with `before`, at first if it is not 0, and whenever it changes.

        Raises:
            Interrupted: Cancelled before.
        """
        told = 0
        while True:
            before = self.before
            if tell is not None and before != told:
                tell(before)
            told = before
            if cancelled():
                raise Interrupted
            if before == 0:
                return
            with self._changed:
                self._changed.wait(_LOOK_SECONDS)

    def leave(self) -> None:
        """Give it back; once is enough, twice does no harm."""
        self._line.leave(self)

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()
