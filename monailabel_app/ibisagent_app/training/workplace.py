"""Where a server keeps what its trainings make, below the app's folder.

::

    model/current.json, ...        released models (`ibistrain.release`)
    model/training/status.json     what goes on, or what came of it last
    model/training/curve.jsonl     one line a logged step
    model/training/stop            there while somebody wants the training to stop
    model/training/lock            held by the process that trains
    model/training/set             name of the labelled set, which decides who is held back
    model/training/run/            the training that goes on, or was broken off
    model/training/results/        before and after, of the last finished training
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ibisagent.output import make_folder, write_whole


@dataclass(frozen=True)
class Workplace:
    """Names of files and folders.

    Attributes:
        model: Folder of released models.
    """

    model: Path

    @property
    def root(self) -> Path:
        """Everything about training."""
        return self.model / "training"

    @property
    def status(self) -> Path:
        """What goes on, as JSON."""
        return self.root / "status.json"

    @property
    def curve(self) -> Path:
        """Logged steps, as JSON lines."""
        return self.root / "curve.jsonl"

    @property
    def lock(self) -> Path:
        """Held while a process trains."""
        return self.root / "lock"

    @property
    def run(self) -> Path:
        """The training that goes on, or was broken off."""
        return self.root / "run"

    @property
    def results(self) -> Path:
        """Evaluations of the last finished training."""
        return self.root / "results"

    @property
    def set_name(self) -> str:
        """Name of the labelled set at earlier trainings; empty before the first."""
        file = self.root / "set"
        return file.read_text(encoding="utf-8").strip() if file.is_file() else ""

    def keep_set_name(self, name: str) -> None:
        """Remember the name, so that nobody changes sides at the next training.

        Raises:
            OutputNotWritable: The disk is full or the folder closed.
        """
        make_folder(self.root)
        write_whole(self.root / "set", name.encode("utf-8"))

    @property
    def stop_wanted(self) -> bool:
        """Whether somebody wants the training to stop; quick, as it is read at each step."""
        return (self.root / "stop").exists()

    def want_stop(self) -> None:
        """Ask the training to stop after its present step.

        Raises:
            OutputNotWritable: The disk is full or the folder closed.
        """
        write_whole(self.root / "stop", b"")

    def forget_stop(self) -> None:
        """At the start of a training."""
        (self.root / "stop").unlink(missing_ok=True)

    def keep_results(self) -> None:
        """Keep the evaluations of the run and drop its data and checkpoints."""
        shutil.rmtree(self.results, ignore_errors=True)
        make_folder(self.results)
        for name in ("before", "after"):
            for file in ("results.json", "table.md"):
                if (self.run / name / file).is_file():
                    make_folder(self.results / name)
                    shutil.copyfile(self.run / name / file, self.results / name / file)
        shutil.rmtree(self.run, ignore_errors=True)
