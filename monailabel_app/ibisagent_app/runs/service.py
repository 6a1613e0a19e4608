"""The runs of this server, and who looks after them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import TypeVar

from filelock import FileLock, Timeout

from ibisagent.output import make_folder
from ibisagent.runs.registry import RunLimits, Runs, Studies
from ibisagent_app.configuration import Configuration
from ibisagent_app.shared_agent import SharedAgent

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

TEND_SECONDS = 5.0
"""How often is looked for runs that nobody watches and models that nobody uses."""

_THREADS = 16
"""For what takes longer than an event loop may be held up: reading images, writing masks."""


class RunService:
    """Keeps runs while the server lives.

    Args:
        folder: Where runs are kept.
        studies: Where the images are.
        agent: Shared with all other requests.
        configuration: What is allowed.

    Raises:
        OutputNotWritable: The folder cannot be made or written to.
    """

    def __init__(
        self, folder: Path, studies: Studies, agent: SharedAgent, configuration: Configuration
    ) -> None:
        self.agent, self.configuration = agent, configuration
        self._lock, own = _own_folder(folder)
        limits = RunLimits(
            at_once=configuration.runs_at_once,
            waiting=configuration.runs_waiting,
            kept=configuration.runs_kept,
            client_minutes=configuration.client_minutes,
            image_bytes=configuration.images_mib * 2**20,
        )
        self.runs = Runs(own, studies, agent.use, agent.profile, limits)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="ibisagent-runs")
        self._closed = threading.Event()

    def look_after(self) -> None:
        """Begin to tend the runs, and end them when the server is told to stop."""
        threading.Thread(target=self._tend, name="ibisagent-tend", daemon=True).start()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                _call_first(number, self.close)

    def close(self) -> None:
        """Cancel all runs; whoever watches is told that they rest."""
        self._closed.set()
        self.runs.close()

    async def in_thread(self, work: Callable[[], _T]) -> _T:
        """Do something that may take a while without holding up the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _tend(self) -> None:
        while not self._closed.wait(TEND_SECONDS):
            try:
                self.runs.tend()
                self.agent.free_if_idle(self.configuration.idle_minutes)
            except Exception:
                logger.exception("the runs could not be looked after")


def runs_folder(configuration: Configuration, app_dir: str, studies: str) -> Path:
    """Where the runs on some studies are kept."""
    if configuration.runs:
        return Path(configuration.runs)
    name = hashlib.blake2b(studies.encode("utf-8"), digest_size=6).hexdigest()
    return Path(app_dir) / "model" / "runs" / name


def _own_folder(folder: Path) -> tuple[FileLock, Path]:
    """The folder, or one beside it where another server is at work in it."""
    for number in range(1, 100):
        own = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        make_folder(own)
        lock = FileLock(own / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        if own != folder:
            logger.warning("another server keeps its runs in %s; this one uses %s", folder, own)
        return lock, own
    raise RuntimeError(f"a hundred servers keep their runs in {folder}")


def _call_first(number: int, action: Callable[[], None]) -> None:
    """Call something at a signal before whatever is called at present."""
    before = signal.getsignal(number)

    def handle(received: int, frame: FrameType | None) -> None:
        threading.Thread(target=action, daemon=True).start()  # it takes locks
        if callable(before):
            before(received, frame)
        elif before is signal.SIG_DFL:
            signal.signal(received, signal.SIG_DFL)
            signal.raise_signal(received)

    signal.signal(number, handle)
