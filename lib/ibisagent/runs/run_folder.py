"""A run on disk: ``run.json``, ``events.jsonl`` and ``carried.jsonl`` in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ibisagent.errors import InvalidTrajectory, OutputNotWritable
from ibisagent.output import make_folder, write_whole
from ibisagent.runs.event_log import EventLog
from ibisagent.runs.geometry import Geometry
from ibisagent.runs.orders import RunRequest
from ibisagent.trajectory import CarriedSlice

_FACTS, _EVENTS, _CARRIED = "run.json", "events.jsonl", "carried.jsonl"


class RunFacts(BaseModel):
    """What does not change about a run.

    Attributes:
        run: Its identifier.
        request: As it is carried out.
        plane: The plane; ``picture`` for 2D images, whatever was asked for.
        profile: Name of the prompt profile.
        geometry: Grid of the image.
        author: Who started it.
        created: When, ISO 8601, UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["ibisagent-run-facts/1"] = "ibisagent-run-facts/1"
    run: str
    request: RunRequest
    plane: str
    profile: str
    geometry: Geometry
    author: str
    created: str


class RunFolder:
    """Reads and writes the files of one run.

    Args:
        path: The folder, as `create` has made it.

    Raises:
        InvalidTrajectory: It holds no run that can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.facts = RunFacts.model_validate_json((path / _FACTS).read_bytes())
        except (OSError, ValidationError) as error:
            raise InvalidTrajectory(
                f"The folder {path.name} holds no run that can be read.", "Delete the folder."
            ) from error
        self.log = EventLog(path / _EVENTS)

    @classmethod
    def create(cls, path: Path, facts: RunFacts) -> RunFolder:
        """Make the folder of a new run.

        Raises:
            OutputNotWritable: The disk is full, or the place is closed.
        """
        make_folder(path)
        try:
            write_whole(path / _FACTS, facts.model_dump_json(indent=1).encode("utf-8"))
        except OutputNotWritable:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return cls(path)

    def keep_carried(self, record: CarriedSlice) -> None:
        """Write down a slice that the tool was trusted with.

        Raises:
            OutputNotWritable: The disk is full.
        """
        try:
            with (self.path / _CARRIED).open("a", encoding="utf-8") as file:
                file.write(record.model_dump_json() + "\n")
        except OSError as error:
            raise OutputNotWritable(
                f"The run could not be written down: {error.strerror or error}.",
                "Free space on the server's disk and start the run again.",
            ) from error

    def carried(self) -> list[CarriedSlice]:
        """Those written down, oldest first; a line that a crash has cut off is left out."""
        path = self.path / _CARRIED
        if not path.is_file():
            return []
        records = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                records.append(CarriedSlice.model_validate_json(line))
            except ValidationError:
                continue
        return records

    def delete(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
