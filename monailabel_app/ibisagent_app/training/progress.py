"""What a training tells while it goes on: a status file, a curve, and lines for MONAI Label.

The trainer is a process of its own, so that a crash or a full memory cannot take the server
along. The server reads the files; they are small, as every ``/info`` reads the status.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ibisagent.output import make_folder, write_whole
from ibisagent_app.training.workplace import Workplace

FORMAT: Literal["ibisagent-training/1"] = "ibisagent-training/1"

WEIGHTS = {"studies": 1, "simulate": 12, "before": 12, "sft": 45, "rl": 45, "after": 12}
"""How long the stages of a training take, roughly, against each other."""

MAX_POINTS = 400
"""Of the curve that is sent; a longer one is thinned out."""

_WRITE_SECONDS = 0.5
_KNOWN_ENOUGH = 5.0
"""Per cent from which the time left is told."""


class Status(BaseModel):
    """What goes on, or what came of the last training."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["ibisagent-training/1"] = FORMAT
    task: str
    pid: int
    process_started: float = Field(description="Tells the process from a later one of its number.")
    started: float = Field(description="Seconds since 1970.")
    seconds: float = 0.0
    ended: bool = False
    stage: str = "starting"
    step: int = 0
    total_steps: int = 0
    percent: float = 0.0
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    difference: dict[str, dict[str, float]] = {}
    released: bool = False
    reason: str = ""

    def alive(self) -> bool:
        """Whether the process that wrote this still trains."""
        if self.ended:
            return False
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.process_started) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def seconds_left(self, now: float) -> float | None:
        """Estimate from the pace so far; None while it would be a guess."""
        if self.percent < _KNOWN_ENOUGH:
            return None
        return round((now - self.started) * (100.0 - self.percent) / self.percent, 1)


class Reporter:
    """Writes status and curve; for the process that trains.

    Args:
        workplace: Where.
        task: Name of the trainer.
        stages: Names of its stages, in order; keys of `WEIGHTS`.
    """

    def __init__(self, workplace: Workplace, task: str, stages: Sequence[str]) -> None:
        self._workplace = workplace
        self._stages = tuple(stages)
        self._written = 0.0
        pid = os.getpid()
        self.status = Status(
            task=task,
            pid=pid,
            process_started=psutil.Process(pid).create_time(),
            started=time.time(),
        )
        make_folder(workplace.root)
        self._write()

    def forget_curve(self) -> None:
        """For a training that begins; one that goes on keeps its curve."""
        self._workplace.curve.unlink(missing_ok=True)

    def begin(self, stage: str) -> None:
        """A stage begins."""
        self._set(stage=stage, step=0, total_steps=0)
        self.status.percent = self._percent()
        self._write()
        self._say()

    def step(self, step: int, total: int, metrics: Mapping[str, float] | None = None) -> None:
        """A step of the stage is done.

        Args:
            step: Its number, from 1.
            total: Number of steps of the stage.
            metrics: ``loss``, ``reward`` and others, for curve and log.
        """
        self._set(step=step, total_steps=total)
        self.status.percent = self._percent()
        if metrics:
            point = {"stage": self.status.stage, "step": step, **_finite(metrics)}
            with self._workplace.curve.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(point) + "\n")
        if time.monotonic() - self._written > _WRITE_SECONDS or step >= total:
            self._write()
        self._say(**_finite(metrics or {}))

    def figures(
        self,
        before: Mapping[str, float] | None = None,
        after: Mapping[str, float] | None = None,
        difference: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        """Keep what an evaluation found."""
        given = {"before": before, "after": after}
        for name, figures in given.items():
            if figures is not None:
                self._set(**{name: _finite(figures)})
        if difference is not None:
            self._set(difference={name: _finite(one) for name, one in difference.items()})
        self._write()

    def end(self, stage: str, reason: str, released: bool = False) -> None:
        """The training is over: ``done``, ``stopped`` or ``failed``, and why."""
        self._set(stage=stage, reason=reason, released=released, ended=True)
        self.status.percent = 100.0 if stage == "done" else self.status.percent
        self._write()
        self._say(reason=reason, released=released)

    def _set(self, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(self.status, name, value)

    def _percent(self) -> float:
        weights = [WEIGHTS[stage] for stage in self._stages]
        if self.status.stage not in self._stages:
            return self.status.percent
        index = self._stages.index(self.status.stage)
        share = min(self.status.step / self.status.total_steps, 1) if self.status.total_steps else 0
        return round(100 * (sum(weights[:index]) + share * weights[index]) / sum(weights), 2)

    def _write(self) -> None:
        self._written = time.monotonic()
        self.status.seconds = round(time.time() - self.status.started, 1)
        write_whole(self._workplace.status, self.status.model_dump_json().encode("utf-8"))

    def _say(self, **more: object) -> None:
        """One JSON line on standard output; MONAI Label keeps the last 20 for its clients."""
        status = self.status
        line = {
            "task": status.task,
            "stage": status.stage,
            "step": status.step,
            "total_steps": status.total_steps,
            "percent": status.percent,
            **more,
        }
        with suppress(OSError):  # the server that reads it may have been killed
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


def read_status(workplace: Workplace) -> Status | None:
    """The status of the training that goes on, or of the last one; None before the first."""
    try:
        return Status.model_validate_json(workplace.status.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def read_curve(workplace: Workplace) -> list[dict[str, Any]]:
    """The logged steps, at most about `MAX_POINTS`, evenly thinned; the last one is there.

    Steps that were made again after a kill are told once, as they were the last time.
    """
    points = list({(one.get("stage"), one.get("step")): one for one in _points(workplace)}.values())
    stride = math.ceil(len(points) / MAX_POINTS) or 1
    return points[::-1][::stride][::-1]


def _points(workplace: Workplace) -> Iterator[dict[str, Any]]:
    try:
        lines = workplace.curve.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:  # being written just now
            return


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    """Plain numbers; JSON has no NaN."""
    return {name: round(float(value), 6) for name, value in figures.items() if _is_finite(value)}


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
