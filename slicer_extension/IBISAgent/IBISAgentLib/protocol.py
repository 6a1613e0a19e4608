"""What a run tells: the mirror of the server's table of events, ``ibisagent.events``.

A test holds the two together. A newer server may add events and fields; those we do not know are
passed over. What is asked for is in `run_fields`.
"""

from __future__ import annotations

import json
import logging
import typing
from dataclasses import dataclass

from .errors import UnreadableAnswer, WrongVersion
from .reading import read

logger = logging.getLogger(__name__)

FORMAT = "ibisagent-events/1"
"""Version of the event table. Another number after the slash is another language."""


@dataclass(frozen=True)
class Rle:
    """A mask in compressed COCO form; `rle.decode` reads it.

    Attributes:
        size: Height and width in pixels.
        counts: The runs, as text.
    """

    size: tuple[int, int]
    counts: str


@dataclass(frozen=True)
class ActionRecord:
    """One action: positive, negative (both with a place), terminate, malformed.

    Attributes:
        x: Fraction of the picture's width, growing to the right.
        y: Fraction of the picture's height, growing downwards.
    """

    kind: str
    x: float | None = None
    y: float | None = None


@dataclass(frozen=True)
class StepRecord:
    """One turn of the agent, or one click of a person.

    Attributes:
        author: agent or human.
        pixel: Row and column of the click.
        carried_out: Whether the tool was asked.
        reason: Why a malformed reply was not understood.
        mask: The mask after this step.
        score: The tool's estimate of the mask's IoU, 0 to 1.
    """

    author: str
    thought: str
    action: ActionRecord
    mask: Rle
    score: float
    raw: str = ""
    pixel: tuple[int, int] | None = None
    carried_out: bool = True
    reason: str = ""
    policy_seconds: float = 0.0
    tool_seconds: float = 0.0


@dataclass(frozen=True)
class SliceRecord:
    """Where a slice's picture lies in its image; `geometry.SlicePicture` computes with it.

    Attributes:
        plane: axial, coronal, sagittal, or picture.
        index: Slice number in that plane, along the voxel axis.
        height: Rows of the picture.
        width: Columns of the picture.
        pixel_mm: Side of a pixel.
    """

    image: str
    plane: str
    index: int
    height: int
    width: int
    pixel_mm: float | None = None
    window: str = "auto"


@dataclass(frozen=True)
class Event:
    """What all events have.

    Attributes:
        event: Its name in the stream.
        seq: Number in the run, from 1 without gaps.
        time: ISO 8601, UTC.
    """

    event: typing.ClassVar[str] = ""

    seq: int
    time: str


@dataclass(frozen=True)
class Started(Event):
    """The run began to work, or goes on."""

    event: typing.ClassVar[str] = "started"

    format: str
    run: str
    image: str
    prompt: str
    scope: str
    plane: str
    policy: str
    tool: str


@dataclass(frozen=True)
class SliceStarted(Event):
    """The agent, or a person, turned to a slice.

    Attributes:
        start: The mask before the first step.
        asked_because: Of a volume: why here.
    """

    event: typing.ClassVar[str] = "slice"

    slice: SliceRecord
    start: Rle
    asked_because: str = ""


@dataclass(frozen=True)
class Stepped(Event):
    """A step was taken, or taken back.

    Attributes:
        number: Steps that stand on this slice, after this event.
        undone: True where `step` was taken back.
        ijk: Voxel (i, j, k) that was clicked.
        mask: The slice's mask as it stands after this event.
    """

    event: typing.ClassVar[str] = "step"

    plane: str
    index: int
    number: int
    step: StepRecord
    mask: Rle
    undone: bool = False
    ijk: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class SliceDone(Event):
    """A slice is settled.

    Attributes:
        stop: terminated, not_present, step_limit, repeated_action, malformed, cancelled; None
            where the tool carried masks over.
    """

    event: typing.ClassVar[str] = "slice_done"

    plane: str
    index: int
    mask: Rle
    stop: str | None = None
    carried: bool = False
    answer: str = ""


@dataclass(frozen=True)
class Progressed(Event):
    """How far the run is.

    Attributes:
        done: Slices settled.
        left: Slices that remain, as far as is known.
        seconds_left: Estimate; None where unknown.
        queue: Runs before this one; 0 while it works.
    """

    event: typing.ClassVar[str] = "progress"

    done: int
    left: int
    seconds_left: float | None = None
    queue: int = 0


@dataclass(frozen=True)
class Finished(Event):
    """The run rests; a click or an undo reopens it.

    Attributes:
        answer: One sentence for the user.
        found: Whether the mask holds anything.
    """

    event: typing.ClassVar[str] = "finished"

    answer: str
    found: bool
    seconds: float
    cancelled: bool = False


@dataclass(frozen=True)
class Failed(Event):
    """The run could not go on; what stands so far is kept."""

    event: typing.ClassVar[str] = "failed"

    code: str
    message: str
    fix: str


EVENTS: dict[str, type[Event]] = {
    kind.event: kind
    for kind in (Started, SliceStarted, Stepped, SliceDone, Progressed, Finished, Failed)
}
"""Each event by its name in the stream."""


def read_event(line: str | bytes) -> tuple[int, Event | None]:
    """One line of the stream.

    Returns:
        The sequence number, and the event; None instead of an event that we do not know, which a
        warning in the log names.

    Raises:
        UnreadableAnswer: No JSON, no number, or fields missing.
        WrongVersion: The server speaks another version.
    """
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnreadableAnswer(
            f"The server sent a line that is no event: {line[:40]!r}.",
            "Try again; if it stays, see the server's log.",
        ) from error
    head = read(_Head, data, "event")
    if "format" in data:
        check_format(data["format"])
    kind = EVENTS.get(head.event)
    if kind is None:
        logger.warning("passing over event %d, of unknown kind %r", head.seq, head.event[:40])
        return head.seq, None
    return head.seq, read(kind, data, head.event)


@dataclass(frozen=True)
class _Head:
    seq: int
    event: str


def check_format(text: object) -> None:
    """Refuse another version of the event table.

    Raises:
        WrongVersion: It is not `FORMAT`.
    """
    if text != FORMAT:
        raise WrongVersion(
            f"The server speaks {str(text)[:40]!r}, this module {FORMAT!r}.",
            "Update the older of the two, the extension or the server.",
        )
