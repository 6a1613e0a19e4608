"""From a request on an image to a mask of the image: one slice, or slice by slice.

The agent works in two dimensions. With ``scope="volume"`` it is asked on every slice of the
plane; where it sees no target the slice stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ibisagent.agent import Agent
from ibisagent.episode import Episode, Limits, Step, StopReason, run
from ibisagent.errors import InvalidRequest, SliceOutOfRange
from ibisagent.policies.base import Cancelled, never
from ibisagent.slices import Plane, SliceView
from ibisagent.trajectory import SliceRecord, Trajectory, record
from ibisagent.vocabulary import check_prompt

BATCH = 8
"""Slices played side by side: enough to batch the policy, few enough to bound memory."""

OnSliceStep = Callable[[int, Step], None]
"""Called after each step with the slice's index."""


class Scope(str, Enum):
    """How much of the image to segment."""

    SLICE = "slice"
    VOLUME = "volume"


class SegmentRequest(BaseModel):
    """What to segment, and where.

    Attributes are documented by their descriptions; `parse` gives errors with a fix.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    prompt: str = Field(min_length=1, max_length=500, description="What to segment, in words.")
    plane: Plane = Field(default=Plane.AXIAL, description="axial, coronal or sagittal.")
    slice: int | None = Field(
        default=None, ge=0, description="Slice number in that plane; the middle one if not given."
    )
    scope: Scope = Field(default=Scope.SLICE, description="slice, or volume for every slice.")
    window: str = Field(
        default="auto", description="auto, a preset's name, or 'level,width' in image units."
    )
    max_steps: int = Field(default=10, ge=1, le=50, description="Most actions on a slice.")

    @classmethod
    def parse(cls, fields: dict[str, object]) -> SegmentRequest:
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
            raise InvalidRequest(f"The field {name!r}: {first['msg']}.", fix) from error


@dataclass(frozen=True, eq=False)
class SegmentResult:
    """What came out of a request.

    Attributes:
        mask: 1 where the target is, axes (k, j, i) of the image ((row, column) for a 2D
            image), uint8.
        trajectories: One a slice that was looked at, in the order of the slices.
        answer: One sentence for the user.
    """

    mask: NDArray[np.uint8]
    trajectories: list[Trajectory]
    answer: str


def segment(
    image: sitk.Image,
    request: SegmentRequest,
    agent: Agent,
    name: str = "image",
    on_step: OnSliceStep | None = None,
    cancelled: Cancelled = never,
) -> SegmentResult:
    """Let the agent segment an image.

    Args:
        image: As `ibisagent.volume.read_image` returns it.
        request: What to segment, and where.
        agent: Who does it.
        name: The image's identifier, for the trajectory.
        on_step: Called after each step.
        cancelled: Read before each call of policy and tool; what stands by then is returned.

    Raises:
        UnknownPrompt: The agent's model states what it knows, and this is not among it.
        SliceOutOfRange: The image has no such slice.
        InvalidRequest: The window is unknown, or the plane is not one of this image.
        ToolOutOfMemory: The tool's device is too small.
        PolicyFailed: The policy raised.
    """
    check_prompt(request.prompt, agent.profile.targets)
    view = SliceView(image, request.plane, request.window)
    mask = np.zeros(sitk.GetArrayViewFromImage(image).shape[: image.GetDimension()], np.uint8)
    trajectories: list[Trajectory] = []
    for indices in _batches(_slice_indices(view, request)):
        episodes = {index: _start(view, index, request, agent) for index in indices}
        _play(episodes, agent, on_step, cancelled)
        for index, episode in episodes.items():
            view.into_volume(episode.segmentation.mask, mask, index)
            where = _where(view, index, name, request)
            trajectories.append(record(episode, where, agent.policy.name))
        if cancelled():
            break
    return SegmentResult(mask, trajectories, _answer(trajectories, mask, view))


def _slice_indices(view: SliceView, request: SegmentRequest) -> Sequence[int]:
    if request.scope is Scope.VOLUME:
        return range(view.count)
    index = view.middle if request.slice is None else request.slice
    if index >= view.count:
        raise SliceOutOfRange(
            f"There is no {view.plane.value} slice {index}.",
            f"Give a slice from 0 to {view.count - 1}.",
        )
    return [index]


def _batches(indices: Sequence[int]) -> Iterator[Sequence[int]]:
    return (indices[first : first + BATCH] for first in range(0, len(indices), BATCH))


def _start(view: SliceView, index: int, request: SegmentRequest, agent: Agent) -> Episode:
    limits = Limits(max_steps=request.max_steps)
    return Episode(view.rgb(index), request.prompt, agent.tool, agent.profile, limits)


def _play(
    episodes: dict[int, Episode], agent: Agent, on_step: OnSliceStep | None, cancelled: Cancelled
) -> None:
    index_of = {id(episode): index for index, episode in episodes.items()}

    def tell(episode: Episode, step: Step) -> None:
        if on_step is not None:
            on_step(index_of[id(episode)], step)

    run(list(episodes.values()), agent.policy, tell, cancelled)


def _where(view: SliceView, index: int, name: str, request: SegmentRequest) -> SliceRecord:
    height, width = view.shape
    return SliceRecord(
        image=name,
        plane=view.plane.value,
        index=index,
        height=height,
        width=width,
        pixel_mm=view.spacing,
        window=request.window,
    )


def _answer(trajectories: Sequence[Trajectory], mask: NDArray[np.uint8], view: SliceView) -> str:
    if len(trajectories) == 1:
        only = trajectories[0]
        return only.answer or f"The agent stopped: {_reason(only.stop)}."
    found = [t for t in trajectories if t.mask.decode().any()]
    if not found:
        return f"The target was found on none of {len(trajectories)} {view.plane.value} slices."
    return (
        f"The target was found on {len(found)} of {len(trajectories)} {view.plane.value} slices, "
        f"{int(mask.sum())} voxels."
    )


def _reason(stop: StopReason | None) -> str:
    return stop.value.replace("_", " ") if stop else "not finished"
