"""A run's events as they come, one JSON object a line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from ibisagent.runs.registry import Runs
from ibisagent.runs.run import Run

HEARTBEAT_SECONDS = 5.0
"""Between blank lines, while nothing happens."""

GRACE_SECONDS = 3.0
"""For runs to come to rest when the server is stopped; the stream then ends in any case."""

_AT_ONCE = 200
"""Events sent in one piece."""


async def events(runs: Runs, run: Run, since: int, follow: bool) -> AsyncIterator[bytes]:
    """The events after a number; with `follow` until the run rests.

    Args:
        runs: All runs; when they are closed, so is the stream.
        run: Watched.
        since: Number of the last event that is known.
        follow: Whether to wait for more.
    """
    loop, wake = asyncio.get_running_loop(), asyncio.Event()

    def call() -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(wake.set)

    remove, last_look = run.log.listen(call), float("inf")
    try:
        while True:
            wake.clear()
            run.touch()  # ends with the connection
            if runs.closing:
                last_look = min(last_look, loop.time() + GRACE_SECONDS)
            # Asked before the events are read, so that none comes in between.
            over = not run.at_work or loop.time() > last_look
            lines = run.log.lines(since, _AT_ONCE)
            if lines:
                since += len(lines)
                yield "".join(lines).encode("utf-8")
                continue
            if over or not follow:
                return
            try:
                await asyncio.wait_for(wake.wait(), _until(last_look - loop.time()))
            except asyncio.TimeoutError:
                yield b"\n"
    finally:
        remove()


def _until(last_look: float) -> float:
    """Seconds to wait for an event before a blank line is sent."""
    return max(min(HEARTBEAT_SECONDS, last_look), 0.05)
