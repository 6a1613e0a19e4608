"""What a simulated episode is on disk: the trajectory, and what only the simulation knows.

A trajectory says what happened. To learn from it one must know as well what would have been
right, which steps were wrong on purpose, and how good the mask was at each moment. Episodes lie
in shards of a folder, as JSON lines (``episodes-00000.jsonl``) or parquet
(``episodes-00000.parquet``); one folder holds one form. The JSON schema is in
``docs/episode.schema.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ibisagent.errors import InvalidTrajectory
from ibisagent.output import make_folder, write_whole
from ibisagent.rle import Rle
from ibisagent.trajectory import Trajectory

EPISODE_FORMAT: Literal["ibisagent-episode/1"] = "ibisagent-episode/1"

Kind = Literal["plain", "self_correction", "user_inconsistency", "absent", "question"]
Form = Literal["jsonl", "parquet"]

SHARD_SIZE = 200
"""Episodes a shard: some megabytes, and what a kill can cost."""


class EpisodeRecord(BaseModel):
    """One simulated episode.

    The picture is ``SliceView(read_image(root / image), trajectory.slice.plane,
    trajectory.slice.window).rgb(trajectory.slice.index)``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["ibisagent-episode/1"] = EPISODE_FORMAT
    set_name: str = Field(description="Data set.")
    subject: str = Field(description="Whom the image shows; unique within the set.")
    image: str = Field(description="Image file, or DICOM folder, relative to the data's root.")
    target: str = Field(description="Name of what is asked for, in the set's own words.")
    labels: list[str] = Field(description="Labels of the set whose union is the target.")
    kind: Kind = Field(
        description="plain; self_correction: a wrong click is noticed and put right; "
        "user_inconsistency: a wrong starting mask is discarded; absent: the target is not there; "
        "question: the user asks whether it is there, which it may be or not."
    )
    truth: Rle = Field(description="The target on this slice; empty where it is absent.")
    learn: list[bool] = Field(
        description="One a step: false for an action that carries no loss, since it was made wrong "
        "on purpose or by a policy."
    )
    iou: list[float] = Field(
        description="IoU of mask and truth before the first step and after each; 1 where both "
        "are empty."
    )
    trajectory: Trajectory

    @model_validator(mode="after")
    def _fits_its_trajectory(self) -> EpisodeRecord:
        steps = len(self.trajectory.steps)
        if len(self.learn) != steps or len(self.iou) != steps + 1:
            raise ValueError("learn has one entry a step, iou one more")
        if self.truth.size != self.trajectory.start.size:
            raise ValueError("the truth is not of the slice's height and width")
        return self

    @property
    def present(self) -> bool:
        """Whether the target is on the slice."""
        return bool(self.truth.decode().any())


def read_episodes(source: Path) -> Iterator[EpisodeRecord]:
    """Episodes of a shard, or of all shards directly in a folder, in order.

    Raises:
        InvalidTrajectory: There is no shard, it is damaged, or a record does not fit the schema.
    """
    for file in _shards(source):
        rows = _parquet_rows(file) if file.suffix == ".parquet" else _json_rows(file)
        for number, row in enumerate(rows, start=1):
            yield _checked(row, file, number)


def write_shards(
    episodes: Iterable[EpisodeRecord],
    folder: Path,
    form: Form = "jsonl",
    shard_size: int = SHARD_SIZE,
) -> list[Path]:
    """Write episodes as shards; each appears whole or not at all.

    Args:
        episodes: What to write, in order.
        folder: Where; made if missing.
        form: JSON lines or parquet.
        shard_size: Episodes a shard.

    Returns:
        The shards.

    Raises:
        OutputNotWritable: The folder cannot be made, or the disk is full.
    """
    make_folder(folder)
    left = iter(episodes)
    files: list[Path] = []
    while part := list(islice(left, shard_size)):
        files.append(write_shard(part, folder, len(files), form))
    return files


def write_shard(
    episodes: Sequence[EpisodeRecord], folder: Path, number: int, form: Form = "jsonl"
) -> Path:
    """Write one shard, whole or not at all; an older one of the same number is replaced.

    Raises:
        OutputNotWritable: The folder is missing or closed, or the disk is full.
    """
    file = shard_path(folder, number, form)
    if form == "jsonl":
        text = "".join(episode.model_dump_json() + "\n" for episode in episodes)
        write_whole(file, text.encode("utf-8"))
    else:
        _write_parquet(episodes, file)
    return file


def shard_path(folder: Path, number: int, form: Form = "jsonl") -> Path:
    """Where a shard lies."""
    return folder / f"episodes-{number:05d}.{form}"


COLUMNS = (
    "format", "set_name", "subject", "image", "target", "labels", "kind", "learn", "iou",
)  # fmt: skip
"""Fields that have a column of their own in parquet; `truth` and `trajectory` are JSON text."""


def _shards(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    found = sorted(source.glob("episodes-*.jsonl")) or sorted(source.glob("episodes-*.parquet"))
    if not found:
        raise InvalidTrajectory(
            f"There are no simulated episodes in {source}.",
            "Give a folder that `ibistrain simulate` wrote, or one of its shards.",
        )
    return found


def _json_rows(file: Path) -> Iterator[Any]:
    try:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except (OSError, ValueError) as error:
        raise _damaged(file, str(error)) from error


def _parquet_rows(file: Path) -> Iterator[Any]:
    import pyarrow as pa  # loads slowly
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=64):
                for row in batch.to_pylist():
                    yield {**row, **{key: json.loads(row[key]) for key in ("truth", "trajectory")}}
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise _damaged(file, str(error)) from error


def _write_parquet(episodes: Sequence[EpisodeRecord], file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            **{name: getattr(episode, name) for name in COLUMNS},
            "truth": episode.truth.model_dump_json(),
            "trajectory": episode.trajectory.model_dump_json(),
        }
        for episode in episodes
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=parquet_schema()), sink)
    write_whole(file, sink.getvalue().to_pybytes())


def parquet_schema() -> Any:
    """The `pyarrow.Schema` of a parquet shard."""
    import pyarrow as pa

    types = {
        "labels": pa.list_(pa.string()),
        "learn": pa.list_(pa.bool_()),
        "iou": pa.list_(pa.float64()),
    }
    names = (*COLUMNS, "truth", "trajectory")
    return pa.schema([(name, types.get(name, pa.string())) for name in names])


def _checked(row: Any, file: Path, number: int) -> EpisodeRecord:
    try:
        return EpisodeRecord.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _damaged(file, f"episode {number}: {place or 'record'}: {first['msg']}") from error


def _damaged(file: Path, reason: str) -> InvalidTrajectory:
    return InvalidTrajectory(
        f"{file.name} is not a readable shard of episodes: {reason.splitlines()[0]}.",
        "Simulate it again: delete the file and repeat the command.",
    )
