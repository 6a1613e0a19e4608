"""Where trainings are asked for: what may begin, what goes on, and what came of it.

In the server it answers requests; in the trainer's process it checks once more, since an
accepted study may be gone by then.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from monailabel.interfaces.datastore import Datastore
from monailabel.utils.async_tasks.utils import tasks

from ibisagent.errors import InvalidRequest, MissingPackage
from ibisagent.output import make_folder
from ibisagent.policies import ENDPOINT
from ibisagent_app.configuration import Configuration, checkpoint_folder, public_name
from ibisagent_app.training.device_turns import DeviceTurns
from ibisagent_app.training.final_labels import (
    Study,
    final_images,
    final_studies,
    subject_of_image,
)
from ibisagent_app.training.options import TrainingOptions, parse_options
from ibisagent_app.training.progress import FORMAT, Status, read_curve, read_status
from ibisagent_app.training.refusals import (
    NothingToRollBack,
    NoTrainingRuns,
    NotTrainable,
    TooFewStudies,
    TrainingRunning,
)
from ibisagent_app.training.room import check_device, check_disk
from ibisagent_app.training.studies import NEEDED, Sides, check_enough, split
from ibisagent_app.training.workplace import Workplace
from ibistrain.release import POINTER, Releases

_PACKAGES = ("accelerate", "datasets", "peft", "trl")
_UNDER_WAY = ("SUBMITTED", "RUNNING")
_TIME_OF_MONAILABEL = "%Y-%m-%d %H:%M:%S"
_EARLY = (
    "The trainer ended before it could begin. GET /train/ has its last lines, and the server's "
    "log all of them."
)


@dataclass(frozen=True)
class Plan:
    """A training that may begin.

    Attributes:
        task: Name of the trainer.
        options: How to train.
        start: From which it starts, as for `ibisagent.policies.load_policy`: the released
            checkpoint, else the configured one.
        studies: What there is to learn from and to judge by.
        sides: Who is held back.
    """

    task: str
    options: TrainingOptions
    start: str
    studies: tuple[Study, ...]
    sides: Sides


class TrainingDesk:
    """All that an app knows of its trainings.

    Args:
        app_dir: Folder of the app; everything is kept in its ``model/``.
        configuration: What the server was started with.
    """

    def __init__(self, app_dir: Path, configuration: Configuration) -> None:
        self.configuration = configuration
        self.workplace = Workplace(app_dir / "model")
        self.releases = Releases(self.workplace.model)
        self.turns = DeviceTurns(self.workplace.model, configuration.device)
        self._seen: tuple[int, Status | None] = (0, None)

    def plan(self, task: str, request: Mapping[str, Any], datastore: Datastore) -> Plan:
        """Check all that can be checked before anything is touched.

        Raises:
            IBISAgentError: One of `ibisagent_app.training.refusals`; `InvalidRequest` for an
                option; `MissingPackage`; or what is wrong with an image or a label.
        """
        options = parse_options(task, request)
        _check_packages()
        start, folder = self._start()
        studies = tuple(final_studies(datastore))
        check_enough(studies)
        sides = split({study.subject for study in studies}, self.workplace.set_name)
        check_disk(self.workplace.root, folder, studies)
        check_device(self.configuration.device, folder, options.lora_rank > 0)
        return Plan(task, options, start, studies, sides)

    def check_idle(self) -> None:
        """For the server, before a trainer is started.

        Raises:
            TrainingRunning: One is started or goes on already.
        """
        status = self.status()
        if _submitted() or (status and status.alive()):
            raise _running(status.task if status else "A training")

    def lock(self) -> FileLock:
        """For the trainer: held while it works.

        Raises:
            TrainingRunning: Another process trains.
            OutputNotWritable: The app's folder is closed.
        """
        make_folder(self.workplace.root)
        lock = FileLock(self.workplace.lock)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise _running("Another process") from None
        return lock

    def status(self) -> Status | None:
        """The status file; read again only when it has changed."""
        try:
            changed = self.workplace.status.stat().st_mtime_ns
        except OSError:
            return None
        if changed != self._seen[0]:
            self._seen = (changed, read_status(self.workplace))
        return self._seen[1]

    def stats(self) -> dict[str, Any]:
        """The four keys by which the stock client moves its bars, in per cent of the training."""
        status = self.status()
        if status is None:
            return {"epoch": 0, "total_epochs": 100, "best_metric": 0.0, "total_time": 0}
        dice = max(status.before.get("dice", 0.0), status.after.get("dice", 0.0))
        return {
            "epoch": round(status.percent),
            "total_epochs": 100,
            "best_metric": dice,
            "total_time": status.seconds if status.ended else 0,
        }

    def report(self, datastore: Datastore) -> dict[str, Any]:
        """What ``GET /ibisagent/training`` answers; see `docs/training-in-the-server.md`."""
        status, submitted = self.status(), _submitted()
        alive = status is not None and status.alive()
        if status is None or (submitted and not alive):
            status = None  # what is on disk is of an earlier training
        if not submitted and _ended_early(status):
            status = None
        shown = _of_status(status, time.time()) if status else _without_status(submitted)
        version = self.releases.current()
        return {
            "format": FORMAT,
            "running": alive or submitted,
            **shown,
            "curve": read_curve(self.workplace) if status else [],
            "model": {
                "version": version.name if version else "",
                "policy": public_name(self.configuration.policy),
            },
            "studies": self._counts(datastore),
        }

    def stop(self) -> None:
        """Ask the training to stop after its present step.

        Raises:
            NoTrainingRuns: None goes on.
        """
        status = self.status()
        if not _submitted() and not (status and status.alive()):
            raise NoTrainingRuns("No training goes on.", "POST /train/ibisagent starts one.")
        make_folder(self.workplace.root)
        self.workplace.want_stop()

    def rollback(self) -> str:
        """Take the model into use that was in use before; returns its version.

        Before the first release it was the configured policy, whose version is empty.

        Raises:
            NothingToRollBack: The configured policy is in use.
            ModelNotFound: The earlier version is gone from the disk.
        """
        if self.releases.current() is None:
            raise NothingToRollBack(
                "No trained model is in use.", "The policy of the server's start answers already."
            )
        try:
            return self.releases.rollback().name
        except InvalidRequest:  # it is the first one
            (self.workplace.model / POINTER).unlink()
            return ""

    def _start(self) -> tuple[str, Path | None]:
        """What training starts from, and its folder, which is not known of one on a hub."""
        released = self.releases.current()
        if released is not None:
            return str(released), released
        policy = self.configuration.policy
        if policy.startswith(ENDPOINT):
            raise NotTrainable(
                "The policy runs on another server and cannot be trained here.",
                "Start this server with a checkpoint: --conf policy FOLDER.",
            )
        return policy, checkpoint_folder(self.configuration)

    def _counts(self, datastore: Datastore) -> dict[str, int]:
        images = final_images(datastore)
        subjects = [subject_of_image(datastore, name) for name in images]
        try:
            held_back = split(subjects, self.workplace.set_name).held_back
        except TooFewStudies:
            held_back = frozenset()
        number = sum(subject in held_back for subject in subjects)
        return {"final": len(images), "needed": NEEDED, "held_back": number}


def _submitted() -> bool:
    """Whether this server has started a trainer that has not ended, or not even begun to write."""
    known = tasks("train")
    return bool(known) and known[-1]["status"] in _UNDER_WAY


def _running(who: str) -> TrainingRunning:
    return TrainingRunning(
        f"{who} is training already.",
        "Wait until it has ended, or stop it with POST /ibisagent/training/stop.",
    )


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackage(
            f"Training needs the package {missing[0]}, which is not installed.",
            'Install the extra "train": pip install "ibisagent[train]".',
        )


def _ended_early(status: Status | None) -> bool:
    """Whether the last trainer of this server failed before it could say anything."""
    last = tasks("train")[-1] if tasks("train") else {"status": ""}
    if last["status"] != "ERROR":
        return False
    began = datetime.strptime(last["start_ts"], _TIME_OF_MONAILABEL).timestamp()
    return status is None or status.started < began


def _without_status(submitted: bool) -> dict[str, Any]:
    """Before any training, or while one starts, or where it did not get as far as that."""
    early = not submitted and _ended_early(None)
    return {
        "task": tasks("train")[-1]["request"].get("model") if submitted or early else None,
        "stage": "starting" if submitted else "failed" if early else "",
        "step": 0,
        "total_steps": 0,
        "percent": 0.0,
        "seconds": 0.0,
        "seconds_left": None,
        "before": {},
        "after": {},
        "difference": {},
        "released": False,
        "reason": _EARLY if early else "",
    }


def _of_status(status: Status, now: float) -> dict[str, Any]:
    alive = status.alive()
    shown = status.model_dump(
        include={
            "task", "stage", "step", "total_steps", "percent", "seconds", "before", "after",
            "difference", "released", "reason",
        }
    )  # fmt: skip
    if alive:
        return {
            **shown,
            "seconds": round(now - status.started, 1),
            "seconds_left": status.seconds_left(now),
        }
    if not status.ended:
        where = f"in the stage {status.stage}, step {status.step} of {status.total_steps}"
        shown["reason"] = (
            f"The training was broken off {where}. Its last checkpoint is kept, the model in use "
            "is the old one; starting the same training again continues it."
        )
        shown["stage"] = "interrupted"
    return {**shown, "seconds_left": None}
