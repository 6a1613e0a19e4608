"""All runs of a server: started, found again, watched over, forgotten."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Protocol

from ibisagent.errors import IBISAgentError, ServerClosing, UnknownRun
from ibisagent.output import make_folder
from ibisagent.prompts import PromptProfile
from ibisagent.runs.geometry import Geometry
from ibisagent.runs.given import given_for
from ibisagent.runs.image_shelf import ImageShelf, OpenedImage
from ibisagent.runs.line import Line
from ibisagent.runs.orders import RunRequest
from ibisagent.runs.run import Run, UseAgent
from ibisagent.runs.run_folder import RunFacts, RunFolder
from ibisagent.runs.warm_masks import WarmMasks
from ibisagent.segment import check_places
from ibisagent.slice_player import Given

logger = logging.getLogger(__name__)

_MINUTE = 60.0


@dataclass(frozen=True)
class RunLimits:
    """What a server allows.

    Attributes:
        at_once: Runs at work at the same time; they take turns on the device.
        waiting: Runs that wait behind them.
        kept: Runs that are kept; beyond that the oldest ones that rest are forgotten.
        client_minutes: A run that nobody watched for so long is cancelled; 0 for never.
        image_bytes: Budget for images kept in memory.
    """

    at_once: int = 4
    waiting: int = 16
    kept: int = 200
    client_minutes: float = 10.0
    image_bytes: int = 2**30


class Studies(Protocol):
    """Where the images are."""

    def image(self, name: str) -> Path:
        """File of an image; raises an `IBISAgentError` where there is none."""
        ...

    def label(self, name: str, tag: str) -> Path:
        """File of an image's label; raises an `IBISAgentError` where there is none."""
        ...


class Runs:
    """The runs of one server. Safe to share between threads.

    Args:
        folder: Where they are kept, each in a folder; those that are there are taken up.
        studies: Where the images are.
        use_agent: See `ibisagent.runs.run.UseAgent`.
        profile: Gives the agent's words; they tell unknown prompts before the agent is waited for.
        limits: What is allowed.

    Raises:
        OutputNotWritable: The folder cannot be made or written to.
    """

    def __init__(
        self,
        folder: Path,
        studies: Studies,
        use_agent: UseAgent,
        profile: Callable[[], PromptProfile],
        limits: RunLimits | None = None,
    ) -> None:
        self.limits = limits or RunLimits()
        self.line = Line(self.limits.at_once, self.limits.waiting)
        self._folder, self._studies, self._use_agent = folder, studies, use_agent
        self._profile = profile
        self._shelf, self._warm = ImageShelf(self.limits.image_bytes), WarmMasks()
        self._lock = Lock()
        self._closing = False
        make_folder(folder)
        self._runs: dict[str, Run] = {run.name: run for run in self._kept_runs()}

    def start(self, request: RunRequest, author: str, file: Path | None = None) -> Run:
        """Check a request, and set a new run to work on it.

        Args:
            request: What to do.
            author: Who asks for it.
            file: Of an image that is not one of the studies; the run can go on while it is there.

        Raises:
            IBISAgentError: The request does not fit the image, the image cannot be read, the
                server has too much to do, or the disk is full.
        """
        if self._closing:
            raise ServerClosing("The server is being stopped.", "Try again when it is back.")
        self._profile().check_prompt(request.prompt)
        place = self.line.book()
        try:
            run, given = self._prepare(request, author, file)
            run.begin(place, given)
        except BaseException:
            self.line.leave(place)
            raise
        self._forget_oldest()
        return run

    def get(self, name: str) -> Run:
        """A run, of which is noted that somebody watches it.

        Raises:
            UnknownRun: There is none of this name.
        """
        run = self._runs.get(name)
        if run is None:
            raise UnknownRun(f"There is no run {name[:40]!r}.", "GET /ibisagent/runs lists them.")
        run.touch()
        return run

    def all(self) -> Sequence[Run]:
        """All runs, newest first."""
        with self._lock:
            runs = list(self._runs.values())
        return sorted(runs, key=lambda run: (run.facts.created, run.name), reverse=True)

    def delete(self, name: str) -> None:
        """Cancel a run and forget it.

        Raises:
            UnknownRun: There is none of this name.
        """
        self._drop(self.get(name))

    def tend(self) -> None:
        """Cancel the runs that nobody watches any more; to be called now and then."""
        minutes = self.limits.client_minutes
        if not minutes:
            return
        for run in self.all():
            if run.at_work and time.monotonic() - run.seen > minutes * _MINUTE:
                logger.info("run %s is cancelled: nobody has watched it", run.name)
                run.cancel(f"Nobody watched the run for {minutes:g} minutes, so it was cancelled.")

    def close(self) -> None:
        """Cancel everything and take nothing new, since the server is being stopped."""
        self._closing = True
        for run in self.all():
            run.cancel("The server was stopped; what stood then is kept.")
            run.log.notify()

    @property
    def closing(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def open_image(self, name: str, file: Path | None = None) -> OpenedImage:
        """An image, read or found in memory.

        Args:
            name: Of an image of the studies.
            file: Read in its stead.

        Raises:
            IBISAgentError: There is none, or it cannot be read.
        """
        return self._shelf.open(file or self._studies.image(name))

    def _prepare(self, request: RunRequest, author: str, file: Path | None) -> tuple[Run, Given]:
        opened = self.open_image(request.image, file)
        view = opened.view(request.plane, request.window)
        request = request.placed(view)
        label = request.start_label and self._studies.label(request.image, request.start_label)
        earlier = self.get(request.resume) if request.resume else None
        given = given_for(request, view, label or None, earlier)
        check_places(view, request, given)
        created = datetime.now(timezone.utc)
        request = request.model_copy(update={"saved": None})  # the run keeps its own records
        facts = RunFacts(
            run=f"{created:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
            request=request,
            plane=view.plane.value,
            profile=self._profile().name,
            geometry=Geometry.of(opened.image),
            author=author,
            created=created.isoformat(timespec="milliseconds"),
        )
        folder = RunFolder.create(self._folder / facts.run, facts)
        run = Run(folder, self._use_agent, partial(self.open_image, file=file), self._warm)
        with self._lock:
            self._runs[run.name] = run
        return run, given

    def _kept_runs(self) -> Iterator[Run]:
        for path in sorted(self._folder.iterdir()):
            if path.is_dir():
                try:
                    run = Run(RunFolder(path), self._use_agent, self.open_image, self._warm)
                    run.recover()
                    yield run
                except IBISAgentError as error:
                    logger.warning("a run is left out: %s", error)

    def _forget_oldest(self) -> None:
        runs = self.all()
        for run in runs[self.limits.kept :]:
            if not run.at_work:
                logger.info("run %s is forgotten: newer ones are kept", run.name)
                self._drop(run)

    def _drop(self, run: Run) -> None:
        """Cancel and forget a run, unless another thread is about to."""
        with self._lock:
            dropped = self._runs.pop(run.name, None)
        if dropped is not None:
            run.cancel("The run was deleted.")
            run.forget()
