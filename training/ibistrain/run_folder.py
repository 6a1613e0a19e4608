"""The folder of a training run: its settings, what it ran on, its figures and curves.

::

    config.yaml    the settings
    versions.json  packages, device, system
    metrics.jsonl  one line a logging step
    curves.png     the figures over the steps
    model/         the result
    checkpoint-*   states of the trainer; an interrupted run goes on from the last whole one
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel

from ibisagent.errors import InvalidRequest
from ibisagent.output import make_folder, write_whole

PACKAGES = ("ibisagent", "torch", "transformers", "trl", "peft", "accelerate", "datasets")
WHOLE = "trainer_state.json"
"""What the trainer writes last into a checkpoint."""


@dataclass(frozen=True)
class RunFolder:
    """A run's folder.

    Args:
        path: Where; `open` makes it.
    """

    path: Path

    @property
    def model(self) -> Path:
        """The result: a checkpoint that `ibisagent.policies.load_policy` opens."""
        return self.path / "model"

    @property
    def metrics(self) -> Path:
        """One JSON object a logging step."""
        return self.path / "metrics.jsonl"

    def open(self, config: BaseModel) -> None:
        """Make the folder, or go on in it.

        Raises:
            InvalidRequest: A run with other settings lies there.
            OutputNotWritable: The folder cannot be made.
        """
        make_folder(self.path)
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        file = self.path / "config.yaml"
        if file.is_file() and yaml.safe_load(file.read_text("utf-8")) != yaml.safe_load(text):
            raise InvalidRequest(
                f"{self.path} holds a run with other settings.",
                "Give the settings of its config.yaml to go on with it, or another folder.",
            )
        write_whole(file, text.encode("utf-8"))
        versions = json.dumps(_versions(), indent=1)
        write_whole(self.path / "versions.json", versions.encode("utf-8"))

    def last_checkpoint(self, needs: Sequence[str] = ()) -> Path | None:
        """The newest checkpoint that was written to its end; half-written ones are deleted.

        Args:
            needs: Files that must be there beside the trainer's own.
        """
        whole = None
        for folder in sorted(self.path.glob("checkpoint-*"), key=_step_of):
            if all((folder / name).is_file() for name in (WHOLE, *needs)):
                whole = folder
            else:
                shutil.rmtree(folder)
        return whole

    def forget_after(self, step: int) -> None:
        """Drop figures of steps that will be made again."""
        rows = [row for row in self.rows() if row["step"] <= step]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_whole(self.metrics, text.encode("utf-8"))

    def note(self, row: Mapping[str, float]) -> None:
        """Add a line of figures."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(row)) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """All figures so far; a last line that a kill left unfinished is passed over."""
        if not self.metrics.is_file():
            return []
        lines = self.metrics.read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def draw_curves(self, names: Sequence[str]) -> None:
        """Draw figures over the steps into ``curves.png``; those never noted are left out."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        rows = self.rows()
        shown = [name for name in names if any(row.get(name) is not None for row in rows)]
        if not shown:
            return
        figure, axes = pyplot.subplots(len(shown), 1, sharex=True, squeeze=False)
        figure.set_size_inches(8, 1.8 * len(shown) + 0.6)
        for axis, name in zip(axes[:, 0], shown, strict=True):
            points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
            axis.plot(*zip(*points, strict=True), marker=".", linewidth=1)
            axis.set_ylabel(name, fontsize=8)
            axis.grid(alpha=0.3)
        axes[-1, 0].set_xlabel("step")
        figure.tight_layout()
        figure.savefig(self.path / "curves.png", dpi=110)
        pyplot.close(figure)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _versions() -> dict[str, str]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    packages = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "system": platform.platform(), **packages} | {
        "device": device
    }
