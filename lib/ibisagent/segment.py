"""From a request on an image to a mask of the image: one slice, or the whole volume.

The agent works in two dimensions. With ``scope="volume"`` it is asked on key slices, and the
tool carries masks between them (`ibisagent.propagation`); or it is asked on every slice of the
plane. Where it sees no target the slice stays empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from ibisagent.agent import Agent
from ibisagent.episode import Limits, StopReason
from ibisagent.errors import InvalidRequest
from ibisagent.policies.base import Cancelled
from ibisagent.propagation import Propagated, propagate
from ibisagent.propagation.clean import CleanStep, clean
from ibisagent.propagation.progress import Pace, Progress
from ibisagent.propagation.propagate import OnProgress, OnSliceDone
from ibisagent.slice_player import (
    NOTHING_GIVEN,
    Given,
    OnSliceStep,
    SlicePlayer,
    batches,
    check_slice,
)
from ibisagent.slices import Plane, SliceView
from ibisagent.trajectory import CarriedSlice, Trajectory


class Scope(str, Enum):
    """How much of the image to segment."""

    SLICE = "slice"
    RANGE = "range"
    """The agent on every slice from one to another."""
    VOLUME = "volume"


class Method(str, Enum):
    """How to segment a whole volume."""

    PROPAGATE = "propagate"
    """The agent on key slices, the tool between them."""
    EVERY_SLICE = "every_slice"
    """The agent on every slice."""


_R = TypeVar("_R", bound="SegmentRequest")


class SegmentRequest(BaseModel):
    """What to segment, and where.

    Attributes are documented by their descriptions; `parse` gives errors with a fix.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    prompt: str = Field(min_length=1, max_length=500, description="What to segment, in words.")
    plane: Plane = Field(default=Plane.AXIAL, description="axial, coronal or sagittal.")
    slice: int | None = Field(
        default=None,
        ge=0,
        description="Slice number in that plane; the middle one if not given. Of a volume, where "
        "to begin: only what hangs together with the target there is then looked for.",
    )
    scope: Scope = Field(default=Scope.SLICE, description="slice, range or volume.")
    first: int | None = Field(
        default=None, ge=0, description="Of a range: its first slice; the plane's if not given."
    )
    last: int | None = Field(
        default=None, ge=0, description="Of a range: its last slice; the plane's if not given."
    )
    method: Method = Field(
        default=Method.PROPAGATE,
        description="Of a volume: propagate (agent on key slices, tool between) or every_slice.",
    )
    clean: list[CleanStep] = Field(
        default=[],
        description="Steps on the finished mask, in this order: largest (keep the largest part), "
        "holes (fill what is enclosed). None if not given.",
    )
    window: str = Field(
        default="auto", description="auto, a preset's name, or 'level,width' in image units."
    )
    max_steps: int = Field(default=10, ge=1, le=50, description="Most actions on a slice.")

    @field_validator("prompt")
    @classmethod
    def _no_special_tokens(cls, prompt: str) -> str:
        """A prompt must not speak the chat's own language: ``<|image_pad|>``, ``<|im_end|>``."""
        if "<|" in prompt:
            raise ValueError("the characters '<|' are reserved")
        return prompt

    @model_validator(mode="after")
    def _ends_of_a_range_only(self) -> SegmentRequest:
        if self.scope is not Scope.RANGE:
            if self.first is not None or self.last is not None:
                raise ValueError("first and last belong to scope 'range'")
        elif self.first is not None and self.last is not None and self.first > self.last:
            raise ValueError(f"the range from {self.first} to {self.last} is empty")
        return self

    @field_validator("clean", mode="before")
    @classmethod
    def _names_in_one_text(cls, value: object) -> object:
        """Clients with text fields only write "largest, holes"."""
        if isinstance(value, str):
            return [name.strip() for name in value.split(",") if name.strip()]
        return value

    @classmethod
    def parse(cls: type[_R], fields: dict[str, object]) -> _R:
        """Check fields that came from outside.

        Raises:
            InvalidRequest: With the first field that does not fit, and what would.
        """
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "request"
            known = cls.model_fields.get(name)
            fix = (
                f"{name}: {known.description}"
                if known
                else f"Known fields: {', '.join(cls.model_fields)}."
            )
            raise InvalidRequest(
                f"The field {name!r}: {first['msg'].removeprefix('Value error, ')}.", fix
            ) from error


@dataclass(frozen=True, eq=False)
class SegmentResult:
    """What came out of a request.

    Attributes:
        mask: 1 where the target is, axes (k, j, i) of the image ((row, column) for a 2D
            image), uint8.
        trajectories: One a slice that the agent was asked on, in the order of the slices.
        answer: One sentence for the user.
        carried: One a slice that the tool marked from its neighbours, in the order of slices.
    """

    mask: NDArray[np.uint8]
    trajectories: list[Trajectory]
    answer: str
    carried: list[CarriedSlice] = field(default_factory=list)


def segment(
    image: sitk.Image,
    request: SegmentRequest,
    agent: Agent,
    name: str = "image",
    on_step: OnSliceStep | None = None,
    cancelled: Cancelled = lambda: False,
    given: Given = NOTHING_GIVEN,
    on_slice_done: OnSliceDone | None = None,
    on_progress: OnProgress | None = None,
) -> SegmentResult:
    """Let the agent segment an image.

    Args:
        image: As `ibisagent.volume.read_image` returns it.
        request: What to segment, and where.
        agent: Who does it.
        name: The image's identifier, for the trajectory.
        on_step: Called after each step.
        cancelled: Read before each call of policy and tool; what stands by then is returned.
        given: An earlier segmentation and a person's clicks, from which the agent goes on.
        on_slice_done: Called with the record of each slice as soon as it is settled.
        on_progress: Called after each slice, or batch of slices, that was settled.

    Raises:
        UnknownPrompt: The agent's model states what it knows, and this is not among it.
        SliceOutOfRange: The image has no such slice.
        InvalidRequest: The window is unknown, the plane is not one of this image, or the
            earlier segmentation is on another grid.
        ToolOutOfMemory: The tool's device is too small.
        PolicyFailed: The policy raised.
    """
    agent.profile.check_prompt(request.prompt)
    view = SliceView(image, request.plane, request.window)
    check_places(view, request, given)
    player = SlicePlayer(
        view=view,
        agent=agent,
        prompt=request.prompt,
        limits=Limits(max_steps=request.max_steps),
        given=given,
        name=name,
        window=request.window,
        on_step=on_step,
        cancelled=cancelled,
    )
    return play(player, image, request, on_slice_done, on_progress)


def check_places(view: SliceView, request: SegmentRequest, given: Given = NOTHING_GIVEN) -> None:
    """Refuse slices, clicks and masks that do not fit the image.

    Raises:
        SliceOutOfRange: The image has no such slice.
        InvalidRequest: An earlier segmentation is on another grid.
    """
    given.check(view)
    for index in (request.slice, request.first, request.last):
        if index is not None:
            check_slice(view, index)


def play(
    player: SlicePlayer,
    image: sitk.Image,
    request: SegmentRequest,
    on_slice_done: OnSliceDone | None = None,
    on_progress: OnProgress | None = None,
) -> SegmentResult:
    """Carry a request out with a player that stands ready; see `segment`.

    Args:
        player: Of this image, in the plane of the request.
        image: The whole image.
        request: Checked by `check_places`.
        on_slice_done: See `segment`.
        on_progress: See `segment`.
    """
    view = player.view
    if request.scope is Scope.VOLUME and request.method is Method.PROPAGATE:
        distance = slice_mm(image, view)
        outcome = propagate(player, distance, request.slice, None, on_slice_done, on_progress)
    else:
        outcome = _one_by_one(player, slice_indices(view, request), on_slice_done, on_progress)
    mask = _cleaned(outcome.mask, request.clean)
    answer = _answer(outcome, mask, view, request)
    in_own_axes = mask.reshape(sitk.GetArrayViewFromImage(image).shape[: image.GetDimension()])
    return SegmentResult(in_own_axes, outcome.trajectories, answer, outcome.carried)


def slice_mm(image: sitk.Image, view: SliceView) -> float:
    """Distance in mm between neighbouring slices of a plane; 1 where there is one slice only."""
    if view.count == 1:
        return 1.0
    places = [
        image.TransformIndexToPhysicalPoint(view.pixel_to_index(0, 0, index)) for index in (0, 1)
    ]
    return float(np.linalg.norm(np.subtract(*places)))


def slice_indices(view: SliceView, request: SegmentRequest) -> Sequence[int]:
    """The slices that the agent is asked on, where it is asked on each."""
    if request.scope is Scope.VOLUME:
        return range(view.count)
    if request.scope is Scope.RANGE:
        last = view.count - 1 if request.last is None else request.last
        return range(request.first or 0, last + 1)
    return [view.middle if request.slice is None else request.slice]


def _one_by_one(
    player: SlicePlayer,
    indices: Sequence[int],
    on_slice_done: OnSliceDone | None,
    on_progress: OnProgress | None,
) -> Propagated:
    """Ask the agent on each of some slices."""
    view, pace = player.view, Pace()
    mask = np.zeros(view.volume_shape, np.uint8)
    trajectories: list[Trajectory] = []
    for part in batches(indices):
        for index, episode in player.play(part).items():
            view.into_volume(episode.segmentation.mask, mask, index)
            trajectories.append(player.record(index, episode))
            if on_slice_done is not None and episode.stop is not StopReason.CANCELLED:
                on_slice_done(trajectories[-1])
        pace.settled(len(part))
        left = len(indices) - len(trajectories)
        if on_progress is not None:
            on_progress(Progress(len(trajectories), left, pace.seconds(left)))
        if player.cancelled():
            break
    return Propagated(mask, trajectories, [])


def _cleaned(mask: NDArray[np.uint8], steps: Sequence[CleanStep]) -> NDArray[np.uint8]:
    for step in steps:
        mask = clean(mask > 0, step).astype(np.uint8)
    return mask


def _answer(
    outcome: Propagated, mask: NDArray[np.uint8], view: SliceView, request: SegmentRequest
) -> str:
    trajectories, plane = outcome.trajectories, view.plane.value
    every = request.scope is Scope.RANGE or request.method is Method.EVERY_SLICE
    if request.scope is Scope.SLICE or view.count == 1:
        only = trajectories[0]
        return only.answer or f"The agent stopped: {_reason(only.stop)}."
    of = f"{len(trajectories) if every else view.count} {plane} slices"
    if not mask.any():
        looked_at = "" if every else f"; {len(trajectories)} were looked at"
        return f"The target was found on none of {of}{looked_at}."
    found = sum(bool(view.from_volume(mask, index).any()) for index in range(view.count))
    by_tool = f", {len(outcome.carried)} of them by the tool" if outcome.carried else ""
    steps = f" Cleaned: {', '.join(request.clean)}." if request.clean else ""
    return f"The target was found on {found} of {of}{by_tool}, {int(mask.sum())} voxels.{steps}"


def _reason(stop: StopReason | None) -> str:
    return stop.value.replace("_", " ") if stop else "not finished"
