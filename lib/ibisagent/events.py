"""What a run tells while it goes on: the one table of events, versioned.

A run is a request that is being worked on. Whoever watches it (`docs/runs.md`) gets its events
in order, each with a sequence number from 1 upwards without gaps, so that a client that was cut
off asks for those after the last one it has. The Slicer extension mirrors this table; a test
holds the two together.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ibisagent.episode import StopReason
from ibisagent.rle import Rle
from ibisagent.trajectory import SliceRecord, StepRecord

FORMAT: Literal["ibisagent-events/1"] = "ibisagent-events/1"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seq: int = Field(default=0, ge=0, description="1 for a run's first event; 0 until told.")
    time: str = Field(default_factory=_now, description="ISO 8601, UTC.")


class Started(_Event):
    """The run began to work, or went on. Only its place in the queue is told before."""

    event: Literal["started"] = "started"
    format: Literal["ibisagent-events/1"] = FORMAT
    run: str = Field(description="Identifier of the run.")
    image: str = Field(description="Identifier of the image.")
    prompt: str
    scope: str
    plane: str
    policy: str = Field(description="Identity of the policy.")
    tool: str = Field(description="Identity of the segmentation tool.")


class SliceStarted(_Event):
    """An episode begins on a slice; it has no steps yet."""

    event: Literal["slice"] = "slice"
    slice: SliceRecord
    start: Rle = Field(description="The mask before the first step; often empty.")
    asked_because: str = Field(default="", description="Of a volume: why here.")


class Stepped(_Event):
    """A step was taken on a slice, or taken back."""

    event: Literal["step"] = "step"
    plane: str
    index: int = Field(ge=0, description="Slice number in that plane.")
    number: int = Field(ge=0, description="Steps that stand on this slice, after this event.")
    undone: bool = Field(default=False, description="True where `step` was taken back.")
    ijk: tuple[int, int, int] | None = Field(
        default=None, description="Voxel (i, j, k) of the image that was clicked."
    )
    step: StepRecord
    mask: Rle = Field(description="The slice's mask as it stands after this event.")


class SliceDone(_Event):
    """A slice is settled: by an episode, by masks carried over, or by a mask that was given."""

    event: Literal["slice_done"] = "slice_done"
    plane: str
    index: int = Field(ge=0)
    stop: StopReason | None = Field(description="None where no episode ended.")
    carried: bool = False
    mask: Rle
    answer: str = ""


class Progressed(_Event):
    """How far the run is."""

    event: Literal["progress"] = "progress"
    done: int = Field(ge=0, description="Slices settled.")
    left: int = Field(ge=0, description="Slices that remain, as far as is known.")
    seconds_left: float | None = Field(default=None, description="Estimate; None where unknown.")
    queue: int = Field(default=0, ge=0, description="Runs before this one; 0 while it works.")


class Finished(_Event):
    """The run rests: all was done, or it was cancelled. A click or an undo reopens it."""

    event: Literal["finished"] = "finished"
    answer: str = Field(description="One sentence for the user.")
    found: bool = Field(description="Whether the mask holds anything.")
    cancelled: bool = False
    seconds: float


class Failed(_Event):
    """The run could not go on; what stands so far is kept."""

    event: Literal["failed"] = "failed"
    code: str
    message: str
    fix: str


Event = Annotated[
    Started | SliceStarted | Stepped | SliceDone | Progressed | Finished | Failed,
    Field(discriminator="event"),
]

EVENTS: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads one line of the stream: ``EVENTS.validate_json(line)``."""
