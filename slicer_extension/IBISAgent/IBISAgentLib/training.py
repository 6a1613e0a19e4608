"""Learning from accepted segmentations: what the module asks of the server, and what it says.

Nothing here trains, and nothing starts a training but `Training.start`, which the user's button
calls.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import slicer

from . import label_upload
from .client import Client
from .errors import ClientError, UnreadableAnswer
from .logic import Logic
from .worker import Answered, Refused

TRAINERS = ("ibisagent", "ibisagent_sft", "ibisagent_rl")
STRATEGIES = ("ibisagent_uncertainty", "random")

REPORT, SUBMIT, NEXT = "training", "submit", "next_study"
BEGIN, END, BACK = "start_training", "stop_training", "roll_back"
"""Commands, by which the worker's answers are told apart."""


@dataclass(frozen=True)
class Point:
    """One logged step of a training: its stage and number, and what was measured."""

    stage: str
    step: int
    values: dict[str, float]


@dataclass(frozen=True)
class Report:
    """What training does and did, as ``GET /ibisagent/training`` tells it.

    Attributes:
        running: Whether one goes on.
        stage: Such as sft; empty before the first training.
        percent: Of the whole training.
        seconds_left: Estimate; None where unknown.
        before: Figures of the model before, by name.
        after: Figures of the model after.
        released: Whether the new model was taken into use.
        reason: Why, or why not.
        curve: Logged steps.
        version: Of the model in use; empty: that of the server's start.
        policy: Identity of the server's policy.
        final: Number of final labels.
        needed: As many are needed.
    """

    running: bool = False
    stage: str = ""
    percent: float = 0.0
    seconds_left: float | None = None
    before: dict[str, float] | None = None
    after: dict[str, float] | None = None
    released: bool = False
    reason: str = ""
    curve: tuple[Point, ...] = ()
    version: str = ""
    policy: str = ""
    final: int = 0
    needed: int = 0

    @classmethod
    def read(cls, data: object) -> Report:
        """From the server's answer.

        Raises:
            UnreadableAnswer: It is none.
        """
        if not isinstance(data, dict):
            raise UnreadableAnswer("The server's word on training is none.", "See its log.")
        model, studies = _object(data, "model"), _object(data, "studies")
        left = data.get("seconds_left")
        return cls(
            running=bool(data.get("running")),
            stage=str(data.get("stage") or ""),
            percent=_number(data.get("percent")) or 0.0,
            seconds_left=_number(left),
            before=_figures(data.get("before")),
            after=_figures(data.get("after")),
            released=bool(data.get("released")),
            reason=str(data.get("reason") or ""),
            curve=tuple(_points(data.get("curve"))),
            version=str(model.get("version") or ""),
            policy=str(model.get("policy") or ""),
            final=int(_number(studies.get("final")) or 0),
            needed=int(_number(studies.get("needed")) or 0),
        )


class Training:
    """What the training part of the panel does.

    Args:
        logic: Of the module; its worker carries out the commands.
        on_change: Told that `report`, `message` or `busy` changed.

    Attributes:
        report: The server's last word; None before the first.
        message: One sentence on what was last done.
        trouble: What went wrong with it.
        busy: Commands that have not been answered.
    """

    def __init__(self, logic: Logic, on_change: Callable[[], None]) -> None:
        self._logic, self._on_change = logic, on_change
        self.report: Report | None = None
        self.message = ""
        self.trouble: ClientError | None = None
        self.busy: set[str] = set()
        answers = {
            REPORT: self._reported,
            SUBMIT: self._submitted,
            NEXT: self._fetched,
            BEGIN: self._begun,
            END: self._begun,
            BACK: self._begun,
        }
        for command, function in answers.items():
            logic.watchers[command] = self._watcher(command, function)

    def ask(self) -> None:
        """Ask how training goes, unless the last question is still open."""
        worker = self._logic.connection.worker
        if worker is not None and self._logic.connection.info and REPORT not in self.busy:
            self.busy.add(REPORT)
            worker.call(REPORT, Client.training)

    def start(self, trainer: str) -> None:
        """Start a training; only ever called by the user's button.

        Raises:
            ClientError: No server is connected.
        """
        self._do(BEGIN, lambda client: client.start_training(trainer))

    def stop(self) -> None:
        """Stop the training that goes on; the model in use stays.

        Raises:
            ClientError: No server is connected.
        """
        self._do(END, Client.stop_training)

    def roll_back(self) -> None:
        """Take the model into use that was in use before.

        Raises:
            ClientError: No server is connected.
        """
        self._do(BACK, Client.roll_back)

    def next_study(self, strategy: str) -> None:
        """Fetch the study that the server would have labelled next, and show it.

        Raises:
            ClientError: No server is connected.
        """
        folder = Path(tempfile.mkdtemp(prefix="study-", dir=slicer.app.temporaryPath))

        def fetch(client: Client) -> Path | None:
            image = client.next_study(strategy)
            return client.get_image(image, folder) if image else None

        self._do(NEXT, fetch)

    def submit(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode | None,
        segmentation: slicer.vtkMRMLSegmentationNode | None,
        segment: str,
    ) -> None:
        """Send a segment as the final label of its volume.

        Raises:
            ClientError: Nothing is chosen, the segment is empty, or no server is connected.
        """
        label, name = label_upload.snapshot(volume, segmentation, segment)
        connection = self._logic.connection
        connection.ready()
        image = self._logic.volumes.take(volume, connection.url)
        final = label_upload.FINAL
        self._do(SUBMIT, lambda client: label_upload.send(client, image, label, final, name))

    def _do(self, command: str, function: Callable[[Client], object]) -> None:
        worker = self._logic.connection.connected()
        self.trouble, self.message = None, ""
        self.busy.add(command)
        worker.call(command, function)
        self._on_change()

    def _watcher(
        self, command: str, function: Callable[[object], None]
    ) -> Callable[[Answered | Refused], None]:
        def watch(message: Answered | Refused) -> None:
            self.busy.discard(command)
            try:
                if isinstance(message, Refused):
                    raise message.error
                function(message.value)
            except ClientError as error:
                self.trouble = error
            self._on_change()

        return watch

    def _reported(self, value: object) -> None:
        self.report = Report.read(value)

    def _begun(self, value: object) -> None:
        self.ask()

    def _submitted(self, value: object) -> None:
        self.message = f"{value!s} was submitted as final label."
        self.ask()

    def _fetched(self, value: object) -> None:
        if value is None:
            self.message = "Every study on the server has a final label."
            return
        volume = slicer.util.loadVolume(str(value))
        self._logic.parameters.inputVolume = volume
        self.message = f"{volume.GetName()} is the next study."


def _object(data: dict, name: str) -> dict:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]


def _figures(data: object) -> dict[str, float]:
    pairs = data.items() if isinstance(data, dict) else []
    return {str(name): number for name, value in pairs if (number := _number(value)) is not None}


def _points(data: object) -> list[Point]:
    entries = [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
    return [
        Point(
            stage=str(entry.get("stage") or ""),
            step=int(_number(entry.get("step")) or 0),
            values={k: v for k, v in _figures(entry).items() if k not in ("step", "total_steps")},
        )
        for entry in entries
    ]
