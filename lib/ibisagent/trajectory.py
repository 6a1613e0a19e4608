"""The record of an episode, as JSON with a published schema.

The schema is in ``docs/trajectory.schema.json``; `Trajectory.model_json_schema` writes it. A
trajectory says everything needed to show, judge, resume or learn from an episode: who did what,
what the tool made of it, with which model and tool, and where in the volume.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ibisagent import __version__
from ibisagent.actions import Click, Malformed, Reply, Terminate
from ibisagent.episode import Author, Episode, Step, StopReason
from ibisagent.errors import InvalidTrajectory
from ibisagent.output import write_whole
from ibisagent.rle import Rle

FORMAT: Literal["ibisagent-trajectory/1"] = "ibisagent-trajectory/1"
CARRIED_FORMAT: Literal["ibisagent-carried/1"] = "ibisagent-carried/1"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ActionRecord(_Record):
    """One action; coordinates are given for clicks only."""

    kind: Literal["positive", "negative", "terminate", "malformed"]
    x: float | None = Field(default=None, ge=0, le=1, description="Fraction of the width.")
    y: float | None = Field(default=None, ge=0, le=1, description="Fraction of the height.")

    @model_validator(mode="after")
    def _only_clicks_have_a_place(self) -> ActionRecord:
        is_click = self.kind in ("positive", "negative")
        if (self.x is not None, self.y is not None) != (is_click, is_click):
            raise ValueError(f"a {self.kind} action has {'' if is_click else 'no '}x and y")
        return self


class StepRecord(_Record):
    """One turn of the agent, or one click of a person."""

    author: Author
    raw: str = Field(description="The policy's reply, unchanged; empty for a person.")
    thought: str
    action: ActionRecord
    pixel: tuple[int, int] | None = Field(default=None, description="Row and column of the click.")
    carried_out: bool = Field(description="Whether the tool was asked.")
    reason: str = Field(default="", description="Why a malformed reply was not understood.")
    mask: Rle = Field(description="The mask after this step.")
    score: float = Field(description="The tool's estimate of the mask's IoU, 0 to 1.")
    policy_seconds: float
    tool_seconds: float


class SliceRecord(_Record):
    """Where the picture lies in its image."""

    image: str = Field(description="Identifier or file name of the image.")
    plane: str = Field(description="axial, coronal, sagittal, or picture for 2D images.")
    index: int = Field(ge=0, description="Slice number in that plane.")
    height: int = Field(gt=0, description="Rows of the picture.")
    width: int = Field(gt=0, description="Columns of the picture.")
    pixel_mm: float | None = Field(default=None, description="Side of a picture's pixel in mm.")
    window: str = Field(default="auto", description="How intensities became grey values.")


class Trajectory(_Record):
    """All that happened in one episode."""

    format: Literal["ibisagent-trajectory/1"] = FORMAT
    version: str = Field(default=__version__, description="Version of the software.")
    written: str = Field(description="Time of writing, ISO 8601, UTC.")
    prompt: str
    slice: SliceRecord
    asked_because: str = Field(
        default="", description="Of a volume: why the agent was asked on this slice."
    )
    policy: str = Field(description="Identity of the policy.")
    tool: str = Field(description="Identity of the segmentation tool.")
    profile: str = Field(description="Name of the prompt profile.")
    start: Rle = Field(description="The mask before the first step; often empty.")
    steps: list[StepRecord]
    undone: list[StepRecord] = Field(default=[], description="Steps that were taken back.")
    stop: StopReason | None
    answer: str = Field(description="The agent's closing sentence.")

    @model_validator(mode="after")
    def _masks_fit_the_slice(self) -> Trajectory:
        masks = [self.start, *(step.mask for step in [*self.steps, *self.undone])]
        if any(mask.size != (self.slice.height, self.slice.width) for mask in masks):
            raise ValueError("a mask is not of the slice's height and width")
        return self

    @property
    def mask(self) -> Rle:
        """The final mask."""
        return self.steps[-1].mask if self.steps else self.start

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all.

        Raises:
            OutputNotWritable: The folder is missing, closed or full.
        """
        write_whole(path, self.model_dump_json(indent=1).encode("utf-8"))

    @classmethod
    def load(cls, path: Path) -> Trajectory:
        """Read a trajectory and check it against the schema.

        Raises:
            InvalidTrajectory: The file is missing, not JSON, or does not fit.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise InvalidTrajectory(
                f"{path.name} is not a readable trajectory: {_reason(error)}.",
                "Give a trajectory.json that this software wrote.",
            ) from error


class CarriedSlice(_Record):
    """A slice that the tool marked with a mask carried over; the agent was not asked."""

    format: Literal["ibisagent-carried/1"] = CARRIED_FORMAT
    version: str = Field(default=__version__, description="Version of the software.")
    written: str = Field(default_factory=_now, description="Time of writing, ISO 8601, UTC.")
    prompt: str
    slice: SliceRecord
    tool: str = Field(description="Identity of the segmentation tool.")
    between: tuple[int, int] = Field(
        description="The key slices below and above, whose masks were carried over."
    )
    expected: Rle = Field(description="Their masks, blended for this slice.")
    clicks: list[ActionRecord] = Field(description="Clicks derived from the expected mask.")
    tool_mask: Rle = Field(description="What the tool made of the clicks.")
    mask: Rle = Field(description="What stands: midway between the expected and the tool's mask.")
    score: float = Field(description="The tool's estimate of the mask's IoU, 0 to 1.")
    agreement: float = Field(description="IoU of the tool's mask with the expected one.")
    overlap: float = Field(description="IoU of the mask with that of the slice beside it.")
    tool_seconds: float

    @model_validator(mode="after")
    def _masks_fit_the_slice(self) -> CarriedSlice:
        size = (self.slice.height, self.slice.width)
        if any(mask.size != size for mask in (self.expected, self.tool_mask, self.mask)):
            raise ValueError("a mask is not of the slice's height and width")
        return self


def record(episode: Episode, where: SliceRecord, policy: str) -> Trajectory:
    """Describe an episode as it stands.

    Args:
        episode: Finished or still going on.
        where: Where its picture lies.
        policy: Identity of the policy that played it.
    """
    start = episode.start.mask if episode.start else None
    blank = Rle.encode(episode.segmentation.mask & False)
    return Trajectory(
        written=_now(),
        prompt=episode.prompt,
        slice=where,
        policy=policy,
        tool=episode.tool.name,
        profile=episode.profile.name,
        start=blank if start is None else Rle.encode(start),
        steps=[step_record(step) for step in episode.steps],
        undone=[step_record(step) for step in episode.undone],
        stop=episode.stop,
        answer=episode.answer,
    )


def step_record(step: Step) -> StepRecord:
    """Describe a step."""
    mask = step.segmentation.mask
    return StepRecord(
        author=step.author,
        raw=step.raw,
        thought=step.reply.thought,
        action=_action(step.reply),
        pixel=step.click.to_pixel(*mask.shape) if step.click else None,
        carried_out=step.click is not None,
        reason=step.reply.reason if isinstance(step.reply, Malformed) else "",
        mask=Rle.encode(mask),
        score=step.segmentation.score,
        policy_seconds=round(step.policy_seconds, 4),
        tool_seconds=round(step.tool_seconds, 4),
    )


def _action(reply: Reply | Malformed) -> ActionRecord:
    if isinstance(reply, Malformed):
        return ActionRecord(kind="malformed")
    if isinstance(reply.action, Terminate):
        return ActionRecord(kind="terminate")
    return click_record(reply.action)


def click_record(click: Click) -> ActionRecord:
    """Describe a click."""
    return ActionRecord(kind="positive" if click.positive else "negative", x=click.x, y=click.y)


def _reason(error: OSError | ValidationError) -> str:
    if isinstance(error, OSError):
        return error.strerror or "it cannot be opened"
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
