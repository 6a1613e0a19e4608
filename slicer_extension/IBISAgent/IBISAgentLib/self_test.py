"""The module's own checks, on real nodes, without a server: what `IBISAgentTest` runs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import slicer

from . import acceptance
from .display import CURRENT
from .parameter import Parameters, parameter_node
from .protocol import (
    ActionRecord,
    Event,
    Finished,
    Rle,
    SliceRecord,
    SliceStarted,
    Started,
    Stepped,
    StepRecord,
)
from .run import Run, restored
from .upload import world_grid

SIZE = 48
SLICE = 6


def phantom() -> slicer.vtkMRMLScalarVolumeNode:
    """A small volume with a bright ball, of unequal spacing, turned and shifted."""
    k, j, i = np.mgrid[0:12, 0:SIZE, 0:SIZE]
    ball = np.hypot(np.hypot(j - 20, i - 18), 2.5 * (k - SLICE)) < 10
    matrix = np.array([[0, -1.5, 0.0, 60], [-1.5, 0, 0, 40], [0, 0, 4, -20], [0, 0, 0, 1.0]])
    name = "IBISAgent phantom"
    return slicer.util.addVolumeFromArray((100 + 200 * ball).astype("int16"), matrix, name)


def disc(row: int, column: int, radius: float) -> np.ndarray:
    """A disc on a picture of the phantom, axes (row, column)."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    return np.hypot(rows - row, columns - column) < radius


def encoded(mask: np.ndarray) -> Rle:
    """A mask as the server writes it."""
    flat = mask.T.ravel().astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flat)))).tolist()
    ends = [0, *edges, flat.size]
    runs = [after - before for before, after in pairwise(ends)]
    numbers = [run - (runs[n - 2] if n > 2 else 0) for n, run in enumerate(runs)]
    return Rle(mask.shape, "".join(map(_characters, numbers)))


def _characters(number: int) -> str:
    text, more = "", True
    while more:
        bits = number & 31
        number >>= 5
        more = number != (-1 if bits & 16 else 0)
        text += chr((bits | (32 if more else 0)) + 48)
    return text


def events() -> list[Event]:
    """A short run on the phantom: too large, put right, done."""
    blank, large, right = (encoded(disc(20, 20, r)) for r in (0, 14, 9))
    record = SliceRecord("phantom", "axial", SLICE, SIZE, SIZE, 1.5)
    told = [
        Started(1, "", "ibisagent-events/1", "r1", "phantom", "the ball", "slice", "axial", "", ""),
        SliceStarted(2, "", record, blank),
        _step(3, "positive", (20, 20), large, "Something bright lies here."),
        _step(4, "negative", (32, 20), right, "This is beyond its rim."),
        _step(5, "terminate", None, right, "The mask fits."),
        Finished(6, "", "The ball is marked.", True, 1.5),
    ]
    return told


def _step(seq: int, kind: str, pixel: tuple[int, int] | None, mask: Rle, thought: str) -> Stepped:
    x, y = ((pixel[1] / SIZE, pixel[0] / SIZE)) if pixel else (None, None)
    step = StepRecord("agent", thought, ActionRecord(kind, x, y), mask, 0.9, pixel=pixel)
    ijk = (pixel[0], pixel[1], SLICE) if pixel else None
    return Stepped(seq, "", "axial", SLICE, seq - 2, step, mask, ijk=ijk)


def played() -> tuple[Run, Parameters]:
    """The phantom with the short run on it."""
    volume, parameters = phantom(), Parameters(parameter_node())
    run = Run(volume, world_grid(volume), "axial")
    for event in events():
        run.take(event, follow=True)
    run.keep(parameters)
    return run, parameters


def a_run_is_shown_and_replayed() -> None:
    """Clicks, masks and polarity are those of the moment that is gone to."""
    run, _ = played()
    timeline = run.display.timeline
    _expect(timeline.length == 3, "three moments")
    for moment, clicks in ((0, 1), (1, 2), (2, 2)):
        run.show(moment)
        _expect(timeline.clicks.GetNumberOfControlPoints() == clicks, f"clicks of {moment}")
    _expect(bool(timeline.clicks.GetNthControlPointSelected(0)), "the first click is positive")
    _expect(not timeline.clicks.GetNthControlPointSelected(1), "the second is negative")
    run.show(0)
    first = slicer.util.arrayFromSegmentBinaryLabelmap(timeline.masks, CURRENT, run.volume)
    _expect(int(first.sum()) == int(disc(20, 20, 14).sum()), "the first mask")


def a_mask_is_accepted_into_a_segment() -> None:
    """Voxel for voxel, and only on the slices of the run."""
    run, _ = played()
    node = acceptance.segmentation_for(run.volume)
    segment = acceptance.segment_for(node, "the ball")
    acceptance.put(run.story.masks_at(), run.pictures, run.volume, node, segment)
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, run.volume)
    _expect(int(voxels.sum()) == int(disc(20, 20, 9).sum()), "as many voxels as pixels")
    _expect(not np.delete(voxels, SLICE, axis=0).any(), "nothing on other slices")


def a_run_is_found_in_the_scene() -> None:
    """The nodes that a saved scene holds are enough to show it again."""
    run, parameters = played()
    again = restored(parameters)
    _expect(again is not None, "a run")
    _expect(len(again.story.moments) == len(run.story.moments), "all its moments")


def _expect(true: bool, what: str) -> None:
    if not true:
        raise AssertionError(f"expected {what}")


CHECKS = (
    a_run_is_shown_and_replayed,
    a_mask_is_accepted_into_a_segment,
    a_run_is_found_in_the_scene,
)
