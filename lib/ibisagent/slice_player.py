"""Episodes on the slices of one image: opened, played side by side, and recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from numpy.typing import NDArray

from ibisagent.actions import Click
from ibisagent.agent import Agent
from ibisagent.episode import Episode, Limits, Step, StopReason, run
from ibisagent.errors import InvalidRequest, SliceOutOfRange
from ibisagent.policies.base import Cancelled
from ibisagent.reopen import reopen
from ibisagent.slices import SliceView
from ibisagent.tools.base import Mask, Segmentation
from ibisagent.trajectory import SliceRecord, Trajectory, record
from ibisagent.windows import AUTO

BATCH = 8
"""Slices played side by side: enough to batch the policy, few enough to bound memory."""

OnSliceStep = Callable[[int, Step], None]
"""Called after each step with the slice's index."""

OnOpen = Callable[[int, Episode, str], None]
"""Called with each slice's index and episode as it begins, and why the agent is asked there."""

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Given:
    """What a person has done before the agent begins.

    Attributes:
        mask: An earlier segmentation, above 0 where the target is, axes (k, j, i) of the image
            ((row, column) for a 2D image); None for none.
        clicks: Slice -> clicks on it, oldest first.
        records: Slice -> the earlier episode on it, which is taken up. It holds a mask of its
            own, so that `mask` says nothing there.
    """

    mask: NDArray[Any] | None = None
    clicks: Mapping[int, Sequence[Click]] = field(default_factory=dict)
    records: Mapping[int, Trajectory] = field(default_factory=dict)

    def check(self, view: SliceView) -> None:
        """Refuse what does not fit the image.

        Raises:
            InvalidRequest: The mask, or an earlier episode, has another shape.
            SliceOutOfRange: A click is on a slice that is not there.
        """
        if self.mask is not None and self.mask.shape not in _shapes(view):
            raise InvalidRequest(
                f"The starting mask has {self.mask.shape} voxels, the image {view.volume_shape}.",
                "Give a mask on the same grid as the image.",
            )
        for index in self.clicks:
            check_slice(view, index)
        for earlier in self.records.values():
            check_record(view, earlier.slice)

    def on(self, view: SliceView, index: int) -> Mask | None:
        """The earlier segmentation as it lies on a slice, or None where it marks nothing."""
        if self.mask is None:
            return None
        marked: Mask = view.from_volume(self.mask, index) > 0
        return marked if marked.any() else None


NOTHING_GIVEN = Given()


class SlicePlayer:
    """Plays the agent on slices of one image.

    Args:
        view: The image in one plane.
        agent: Who plays.
        prompt: What is asked for.
        limits: Of each episode.
        given: What a person has done before.
        name: The image's identifier, for the records.
        window: The window as it was asked for, for the records.
        on_step: Called after each step.
        cancelled: Read before each call of policy and tool.
        on_open: Called as an episode begins, before its first step.
        between: Called before each call of the policy, see `ibisagent.episode.run`.

    Attributes:
        playing: Slice -> episode of those that are being played at the moment.
        at_hand: Slice -> episode that a person has begun already; `play` goes on with it.
    """

    def __init__(
        self,
        view: SliceView,
        agent: Agent,
        prompt: str,
        limits: Limits | None = None,
        given: Given = NOTHING_GIVEN,
        name: str = "image",
        window: str = AUTO,
        on_step: OnSliceStep | None = None,
        cancelled: Cancelled = lambda: False,
        on_open: OnOpen | None = None,
        between: Callable[[], None] | None = None,
    ) -> None:
        self.view = view
        self.agent = agent
        self.prompt = prompt
        self.given = given
        self.cancelled = cancelled
        self.limits = limits or Limits()
        self._name = name
        self._window = window
        self._on_step = on_step or (lambda index, step: None)
        self._on_open = on_open or (lambda index, episode, why: None)
        self._between = between
        self.playing: Mapping[int, Episode] = {}
        self.at_hand: dict[int, Episode] = {}

    def play(
        self,
        indices: Sequence[int],
        starts: Mapping[int, Segmentation] | None = None,
        why: Mapping[int, str] | None = None,
    ) -> dict[int, Episode]:
        """Play slices side by side until their episodes have ended.

        A person's clicks come first, on the person's mask if there is one.

        Args:
            indices: Slices.
            starts: Starting masks of slices for which a person gave none.
            why: Why the agent is asked on a slice, for whoever watches.

        Raises:
            ToolOutOfMemory: The tool's device is too small.
            PolicyFailed: The policy raised.
        """
        starts, why = starts or {}, why or {}
        episodes = {
            i: self.at_hand.pop(i)
            if i in self.at_hand
            else self.open(i, starts.get(i), why.get(i, ""))
            for i in indices
        }
        self.go_on(episodes)
        return episodes

    def go_on(self, episodes: Mapping[int, Episode]) -> None:
        """Let the agent play episodes of this image until they have ended.

        Args:
            episodes: Slice -> its episode.

        Raises:
            ToolOutOfMemory: The tool's device is too small.
            PolicyFailed: The policy raised.
        """
        index_of = {id(episode): index for index, episode in episodes.items()}

        def tell(episode: Episode, step: Step) -> None:
            self._on_step(index_of[id(episode)], step)

        players = list(episodes.values())
        self.playing = episodes
        try:
            run(players, self.agent.policy, tell, self.cancelled, self._between)
        finally:
            self.playing = {}

    def record(self, index: int, episode: Episode, asked_because: str = "") -> Trajectory:
        """Describe the episode of a slice."""
        written = record(episode, self.where(index), self.agent.policy.name)
        return written.model_copy(update={"asked_because": asked_because})

    def where(self, index: int) -> SliceRecord:
        """Where a slice's picture lies in the image."""
        height, width = self.view.shape
        return SliceRecord(
            image=self._name,
            plane=self.view.plane.value,
            index=index,
            height=height,
            width=width,
            pixel_mm=self.view.spacing,
            window=self._window,
        )

    def open(self, index: int, start: Segmentation | None = None, why: str = "") -> Episode:
        """Begin an episode, or take an earlier one up; a person's clicks come first.

        Args:
            index: Slice.
            start: Starting mask, where a person gave none.
            why: See `play`.

        Raises:
            ToolOutOfMemory: The tool's device is too small.
        """
        picture, agent, record = self.view.rgb(index), self.agent, self.given.records.get(index)
        if record is not None:
            episode = reopen(record, picture, agent, self.limits, self.prompt)
            if episode.stop is StopReason.CANCELLED:
                episode.stop = None
        else:
            drawn = self.given.on(self.view, index)
            start = start if drawn is None else Segmentation(drawn, 1.0)
            episode = Episode(picture, self.prompt, agent.tool, agent.profile, self.limits, start)
        self._on_open(index, episode, why)
        for step in episode.steps:
            self._on_step(index, step)
        for click in self.given.clicks.get(index, ()):
            if self.cancelled():
                break
            self._on_step(index, episode.click(click))
        return episode


def batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """The items in parts of at most `BATCH`."""
    return (items[first : first + BATCH] for first in range(0, len(items), BATCH))


def check_slice(view: SliceView, index: int) -> None:
    """Refuse a slice that is not there.

    Raises:
        SliceOutOfRange: With the slices there are.
    """
    if not 0 <= index < view.count:
        raise SliceOutOfRange(
            f"There is no {view.plane.value} slice {index}.",
            f"Give a slice from 0 to {view.count - 1}.",
        )


def check_record(view: SliceView, where: SliceRecord) -> None:
    """Refuse the record of a slice that is not one of this image in this plane.

    Raises:
        InvalidRequest: It is of another plane or shape.
        SliceOutOfRange: It is of a slice that is not there.
    """
    if (where.plane, where.height, where.width) != (view.plane.value, *view.shape):
        raise InvalidRequest(
            f"The earlier run looked at {where.plane[:20]} slices of {where.height} x "
            f"{where.width} pixels, this one at {view.plane.value} slices of "
            f"{view.shape[0]} x {view.shape[1]}.",
            "Resume on the same image and in the same plane.",
        )
    check_slice(view, where.index)


def _shapes(view: SliceView) -> list[tuple[int, ...]]:
    """Shapes that a mask of the whole image may have; a picture's may lack the first axis."""
    return [view.volume_shape, *([view.volume_shape[1:]] if view.volume_shape[0] == 1 else [])]
