"""Runs on phantoms, with an agent that says what it was told to say."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import SimpleITK as sitk
from harness.fake_tool import DiscTool
from harness.list_policy import TERMINATE, click
from harness.phantom import image_of, tube

from ibisagent.agent import Agent
from ibisagent.errors import UnreadableImage
from ibisagent.events import Event
from ibisagent.policies.base import Cancelled, Observation, Policy, never
from ibisagent.prompts import PromptProfile, load_profile
from ibisagent.runs.orders import ClickOrder, RunRequest, SliceOrder
from ibisagent.runs.registry import RunLimits, Runs
from ibisagent.runs.run import Run
from ibisagent.runs.turns import Turns, agent_in_turns
from ibisagent.tools.base import SegmentationTool

PATIENCE = 20.0
"""Seconds; nothing here takes a tenth of it on an idle machine."""


@dataclass
class FolderStudies:
    """Images and labels in a folder."""

    folder: Path

    def image(self, name: str) -> Path:
        return self._file(f"{name}.nrrd")

    def label(self, name: str, tag: str) -> Path:
        return self._file(f"{name}.{tag}.nrrd")

    def _file(self, name: str) -> Path:
        if not (self.folder / name).is_file():
            raise UnreadableImage(f"There is no {name}.", "Put it there.")
        return self.folder / name


@dataclass
class ClickOnce:
    """Clicks into the middle of an empty slice, and is content with a slice that is marked.

    Attributes:
        calls: Observations of each call.
    """

    calls: list[list[Observation]] = field(default_factory=list)

    name = "click-once"

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        self.calls.append(list(observations))
        return [TERMINATE if seen.mask.any() else click(0.5, 0.5) for seen in observations]


@dataclass
class Gated:
    """A policy whose every call waits until it is let through.

    Attributes:
        policy: Asked behind the gate.
        asked: Set when somebody waits at the gate.
        heeds_cancel: Whether a call ends when it is cancelled, as those that generate text do.
    """

    policy: Policy
    heeds_cancel: bool = True
    asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    gate: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    name = "gated"

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        self.asked.release()
        while not self.gate.acquire(timeout=0.01):
            if self.heeds_cancel and cancelled():
                return ["" for _ in observations]
        return self.policy.replies(observations, cancelled)

    def wait_until_asked(self) -> None:
        assert self.asked.acquire(timeout=PATIENCE), "the policy was not asked"

    def let_through(self, calls: int = 1) -> None:
        for _ in range(calls):
            self.gate.release()


@dataclass
class Place:
    """A folder with a phantom, and runs on it.

    Attributes:
        runs: Started anew by `restart`.
    """

    folder: Path
    policy: Policy
    tool: SegmentationTool = field(default_factory=DiscTool)
    limits: RunLimits | None = None
    profile: PromptProfile = field(default_factory=load_profile)
    turns: Turns = field(default_factory=Turns)
    all_runs: list[Runs] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "studies").mkdir(parents=True, exist_ok=True)
        self.studies = FolderStudies(self.folder / "studies")
        self.write("tube", image_of(tube()))
        self.restart()

    def write(self, name: str, image: sitk.Image) -> Path:
        path = self.folder / "studies" / f"{name}.nrrd"
        sitk.WriteImage(image, str(path))
        return path

    def restart(self) -> None:
        """As after a kill: nothing but what is on the disk."""
        self.turns = Turns()
        self.runs = Runs(
            self.folder / "runs", self.studies, self._use, lambda: self.profile, self.limits
        )
        self.all_runs.append(self.runs)

    @contextmanager
    def _use(self, cancelled: Cancelled) -> Iterator[Agent]:
        yield agent_in_turns(Agent(self.policy, self.tool, self.profile), self.turns, cancelled)

    def start(self, image: str = "tube", prompt: str = "the tube", **fields: object) -> Run:
        request = RunRequest.parse({"image": image, "prompt": prompt, **fields})
        return self.runs.start(request, "somebody")

    def done(self, image: str = "tube", prompt: str = "the tube", **fields: object) -> Run:
        return rest(self.start(image, prompt, **fields))


def rest(run: Run) -> Run:
    """Wait until a run rests."""
    assert run.wait(PATIENCE), run.describe()
    return run


def clicked(run: Run, index: int, x: float, y: float, **fields: object) -> Run:
    """A person's click, carried out."""
    run.click(ClickOrder.parse({"index": index, "x": x, "y": y, **fields}))
    return rest(run)


def undone(run: Run, index: int) -> Run:
    run.undo(SliceOrder(index=index))
    return rest(run)


def gone_on(run: Run, index: int) -> Run:
    run.go_on(SliceOrder(index=index))
    return rest(run)


def kinds(events: Sequence[Event]) -> list[str]:
    """Names of events, progress left out."""
    return [event.event for event in events if event.event != "progress"]


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
