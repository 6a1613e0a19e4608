"""A thread that reads a run's events until it rests, and again when it is reopened."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .client import Client
from .errors import ClientError
from .messages import Happened, Message, Rested, as_client_error
from .stream import EventStream


class Follower:
    """One thread, alive from the beginning.

    Args:
        client: Of the server.
        run: Identifier.
        since: Number of the last event that is known.
        tell: Takes the messages.

    Attributes:
        last: Number of the last event that was told.
        thread: The thread.
    """

    def __init__(
        self, client: Client, run: str, since: int, tell: Callable[[Message], None]
    ) -> None:
        self.last = since
        self._client, self._run, self._tell = client, run, tell
        self._lock = threading.Lock()
        self._once_more = False
        self._over = False
        self._ended = False
        self._stream = EventStream(client, run, since)
        self.thread = threading.Thread(target=self._work, name="ibisagent-events", daemon=True)
        self.thread.start()

    def again(self) -> bool:
        """Read on after the present end; False where this follower has ended already."""
        with self._lock:
            self._once_more = not self._over
            return self._once_more

    def end(self) -> None:
        """Stop reading at once."""
        with self._lock:
            self._ended = True
        self._stream.cancel()

    def _work(self) -> None:
        while True:
            error = self._read()
            with self._lock:
                self._over = self._ended or error is not None or not self._once_more
                self._once_more = False
                if not self._over:
                    self._stream = EventStream(self._client, self._run, self.last)
                else:  # in the lock, so that nothing of a next follower comes before it
                    self._tell(Rested(self._run, error))
                    return

    def _read(self) -> ClientError | None:
        try:
            for event in self._stream:
                self.last = self._stream.last
                self._tell(Happened(self._run, event))
        except Exception as error:
            return as_client_error(error)
        finally:
            self.last = self._stream.last
        return None
