"""The folder of an evaluation: what is finished survives a kill, and settings do not mix.

::

    settings.json       what was asked of whom; a rerun must agree with it
    rows.jsonl          one line a finished question, so that a killed run goes on where it was
    trajectories/       the episodes, for `ibisagent show`
    results.json        settings, machine, means and rows
    table.md            the means, for reading
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ibisagent.episode import StopReason
from ibisagent.errors import InvalidRequest, OutputNotWritable
from ibisagent.output import make_folder, write_whole


class Row(BaseModel):
    """One question and its outcome."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(description="Name of the question, unique in the evaluation.")
    set: str
    item: str
    subject: str
    label: str
    plane: str
    slice: int
    prompt: str
    present: bool = Field(description="Whether the label is on the slice.")
    known: bool = Field(default=True, description="Whether the model has learnt the label.")
    hit: bool = Field(default=False, description="Whether the first click is on the label.")
    iou: float = 0.0
    first_dice: float = Field(default=0.0, description="Dice after the first click.")
    dice: float = 0.0
    marked: bool = Field(default=False, description="Whether the final mask has any pixel.")
    stop: StopReason | None = None
    turns: int = 0
    seconds: float = Field(default=0.0, description="Time of policy and tool.")
    trajectory: str = Field(default="", description="File name in the folder of trajectories.")


class EvaluationFolder:
    """Rows and settings on disk.

    Args:
        path: The folder; made if missing.
        settings: Everything that decides the result, for JSON.

    Raises:
        InvalidRequest: The folder holds an evaluation with other settings.
        OutputNotWritable: The path is a file, may not be written to, or the disk is full.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._path = path
        self.settings = settings
        make_folder(self.trajectories)
        file = path / "settings.json"
        if not file.exists():
            self.write("settings.json", json.dumps(settings, indent=1))
        with _keeping(path):
            earlier = json.loads(file.read_text(encoding="utf-8"))
        _refuse_other_settings(path, earlier, settings)

    @property
    def trajectories(self) -> Path:
        """Folder of the episodes."""
        return self._path / "trajectories"

    def rows(self) -> list[Row]:
        """What is finished; a line that was cut off by a kill is dropped from the file too."""
        file = self._path / "rows.jsonl"
        if not file.exists():
            return []
        with _keeping(self._path):
            lines = file.read_text(encoding="utf-8").splitlines()
        rows = []
        for line in lines:
            try:
                rows.append(Row.model_validate_json(line))
            except ValidationError:
                break
        self.write("rows.jsonl", "".join(row.model_dump_json() + "\n" for row in rows))
        return rows

    def append(self, rows: Sequence[Row]) -> None:
        """Add finished questions.

        Raises:
            OutputNotWritable: The disk is full, or the folder was closed.
        """
        lines = "".join(row.model_dump_json() + "\n" for row in rows)
        with _keeping(self._path), (self._path / "rows.jsonl").open("a", encoding="utf-8") as file:
            file.write(lines)

    def write(self, name: str, text: str) -> None:
        """Write a file, whole or not at all.

        Raises:
            OutputNotWritable: The disk is full, or the folder was closed.
        """
        write_whole(self._path / name, text.encode("utf-8"))


def _refuse_other_settings(path: Path, earlier: Any, settings: dict[str, Any]) -> None:
    wanted = json.loads(json.dumps(settings))
    if earlier == wanted:
        return
    known = earlier if isinstance(earlier, dict) else {}
    name = next(key for key in [*wanted, *known] if known.get(key) != wanted.get(key))
    raise InvalidRequest(
        f"{path} holds an evaluation with other settings: {name} was {known.get(name)!r} and is "
        f"now {wanted.get(name)!r}.",
        "Give another --out, or remove that folder.",
    )


@contextmanager
def _keeping(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it holds damaged files"
        raise OutputNotWritable(
            f"The evaluation cannot be kept in {path}: {reason}.",
            "Give an empty or a new folder on a disk with free space.",
        ) from error
