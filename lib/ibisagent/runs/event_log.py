"""The events of a run on disk: appended one by one, and read again from any number on.

What is written is flushed to the operating system at once, so that it outlives the process. A
line that a crash has cut off is dropped when the file is opened again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import RLock

from pydantic import ValidationError

from ibisagent.errors import OutputNotWritable
from ibisagent.events import EVENTS, Event

Listener = Callable[[], None]


class EventLog:
    """Numbered events in a file, one a line. Safe to share between threads.

    Only the places of the lines are kept in memory. Events that the disk did not take are kept
    there, too, and written before the next one.

    Args:
        path: File; what it holds is taken up, and cut where it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = RLock()
        self._ends: list[int] = []
        self._unwritten: list[str] = []
        self._listeners: list[Listener] = []
        self.last: Event | None = None
        if path.is_file():
            self._take_up()

    def __len__(self) -> int:
        """Number of events; that of the last one."""
        return len(self._ends) + len(self._unwritten)

    def append(self, event: Event) -> Event:
        """Number an event, write it and tell who listens.

        Returns:
            The event with its number.

        Raises:
            OutputNotWritable: The disk took it not; it is kept in memory.
        """
        with self._lock:
            numbered = event.model_copy(update={"seq": len(self) + 1})
            self._unwritten.append(numbered.model_dump_json() + "\n")
            self.last = numbered
            try:
                self._write()
            finally:
                self.notify()
            return numbered

    def lines(self, since: int = 0, most: int = 1000) -> list[str]:
        """Lines of the events after a number, oldest first, at most so many."""
        with self._lock:
            written = len(self._ends)
            ends = self._ends[since : since + most]
            start = self._ends[since - 1] if 0 < since <= written else 0
            unwritten = self._unwritten[max(since - written, 0) :]
        lines: list[str] = []
        if ends:
            with suppress(FileNotFoundError), self._path.open("rb") as file:  # it was deleted
                file.seek(start)
                lines = file.read(ends[-1] - start).decode("utf-8").splitlines(keepends=True)
        return lines + unwritten[: most - len(lines)]

    def events(self, since: int = 0) -> list[Event]:
        """The events after a number, oldest first."""
        return [EVENTS.validate_json(line) for line in self.lines(since, len(self))]

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call a function after each event, in whichever thread appends; returns its removal."""
        with self._lock:
            self._listeners.append(listener)

        def remove() -> None:
            with self._lock, suppress(ValueError):
                self._listeners.remove(listener)

        return remove

    def notify(self) -> None:
        """Wake those who listen."""
        for listener in list(self._listeners):
            listener()

    def _write(self) -> None:
        try:
            with self._path.open("ab") as file:
                end = self._ends[-1] if self._ends else 0
                if file.tell() != end:  # the rest of a line that did not fit on the disk
                    file.truncate(end)
                while self._unwritten:
                    data = self._unwritten[0].encode("utf-8")
                    file.write(data)
                    file.flush()
                    end += len(data)
                    self._ends.append(end)
                    del self._unwritten[0]
        except OSError as error:
            raise OutputNotWritable(
                f"The run could not be written down: {error.strerror or error}.",
                "Free space on the server's disk and start the run again; what stands is kept.",
            ) from error

    def _take_up(self) -> None:
        end = 0
        with self._path.open("rb") as file:
            for line in file:
                event = _read(line)
                if event is None or event.seq != len(self._ends) + 1:
                    break
                end += len(line)
                self._ends.append(end)
                self.last = event
        with suppress(OSError):
            os.truncate(self._path, end)


def _read(line: bytes) -> Event | None:
    try:
        return EVENTS.validate_json(line) if line.endswith(b"\n") else None
    except ValidationError:
        return None
