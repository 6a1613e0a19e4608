"""A thread that carries out commands in order and tells what became of them."""

from __future__ import annotations

import queue
import threading
import typing
from collections.abc import Callable
from dataclasses import dataclass

from .client import Client
from .errors import Cancelled
from .messages import Answered, Message, Refused, as_client_error

Call = Callable[[Client], object]


@dataclass(frozen=True)
class Job:
    """A command.

    Attributes:
        afterwards: Done when the answer has been told, with its value: what follows from it
            must not come before it.
    """

    ticket: int
    command: str
    function: Call
    afterwards: Callable[[typing.Any], None] = lambda value: None


class Lane:
    """One thread, alive from the beginning.

    Args:
        name: For the thread.
        client: Handed to the commands.
        tell: Takes the messages.

    Attributes:
        jobs: Commands to come.
        thread: The thread.
    """

    def __init__(self, name: str, client: Client, tell: Callable[[Message], None]) -> None:
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._client, self._tell = client, tell
        self._ended = threading.Event()
        self.thread = threading.Thread(target=self._work, name=f"ibisagent-{name}", daemon=True)
        self.thread.start()

    def finish(self, timeout: float) -> None:
        """Carry out what waits, then end.

        Args:
            timeout: Seconds to wait for it.
        """
        self.jobs.put(None)
        self.thread.join(timeout)

    def end(self) -> None:
        """Refuse what waits, and end after the present command."""
        self._ended.set()
        self.jobs.put(None)

    def _work(self) -> None:
        while (job := self.jobs.get()) is not None:
            try:
                if self._ended.is_set():
                    raise Cancelled
                value = job.function(self._client)
                self._tell(Answered(job.ticket, job.command, value))
                job.afterwards(value)
            except Exception as error:
                self._tell(Refused(job.ticket, job.command, as_client_error(error)))
