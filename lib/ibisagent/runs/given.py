"""What a person brings to a new run: an earlier mask, an earlier run or its file, clicks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ibisagent.actions import Click
from ibisagent.errors import InvalidRequest
from ibisagent.runs.orders import RunRequest
from ibisagent.runs.run import Run
from ibisagent.runs.saved_run import SavedRun
from ibisagent.segment import Method, Scope, slice_indices
from ibisagent.slice_player import Given, check_record
from ibisagent.slices import SliceView
from ibisagent.trajectory import Trajectory
from ibisagent.volume import read_image


def given_for(
    request: RunRequest, view: SliceView, label: Path | None, earlier: Run | None
) -> Given:
    """Put together what the agent goes on from.

    Of an earlier run, or of one that the request brings, the episodes on the slices that are now
    worked on are taken up with all their steps; elsewhere, and where masks are carried through a
    volume, its mask is.

    Args:
        request: The new run's, with its slice filled in.
        view: The image in the plane of the request.
        label: File of a label to start from.
        earlier: A run to take up.

    Raises:
        InvalidRequest: Several of label, run and file are given, an earlier run is of another
            image or does not fit it, or the label has another grid.
        IBISAgentError: The label cannot be read.
    """
    if sum(brought is not None for brought in (label, earlier, request.saved)) > 1:
        raise InvalidRequest(
            "A run starts from a label, from an earlier run or from a saved one, not from several.",
            "Give one of start_label, resume and saved.",
        )
    clicks: dict[int, list[Click]] = defaultdict(list)
    for each in request.clicks:
        index, click = each.on(view)
        clicks[index].append(click)
    if earlier is not None:
        mask, records = _taken_up(request, view, earlier)
        return Given(mask, clicks, records)
    if request.saved is not None:
        mask, records = _read_again(request, view, request.saved)
        return Given(mask, clicks, records)
    return Given(None if label is None else _mask(label), clicks)


def _mask(label: Path) -> NDArray[np.uint8]:
    marked: NDArray[np.bool_] = sitk.GetArrayFromImage(read_image(label)) > 0
    return marked.astype(np.uint8)


def _taken_up(
    request: RunRequest, view: SliceView, earlier: Run
) -> tuple[NDArray[np.uint8] | None, dict[int, Trajectory]]:
    earlier.require_rest()
    if earlier.facts.request.image != request.image:
        raise InvalidRequest(
            f"The run {earlier.name} is of the image {earlier.facts.request.image}.",
            "Resume a run of the same image.",
        )
    mask = earlier.mask().reshape(view.volume_shape)
    if earlier.facts.plane != view.plane.value:
        return (mask if mask.any() else None), {}
    trajectories, _ = earlier.trajectories()
    return (mask if mask.any() else None), _of_now(request, view, trajectories)


def _read_again(
    request: RunRequest, view: SliceView, saved: SavedRun
) -> tuple[NDArray[np.uint8] | None, dict[int, Trajectory]]:
    mask = np.zeros(view.volume_shape, np.uint8)
    for one in saved.records():
        if one.slice.image != request.image:
            raise InvalidRequest(
                f"The saved run is of the image {one.slice.image[:40]!r}.",
                "Bring a run of the same image.",
            )
        check_record(view, one.slice)
        view.into_volume(one.mask.decode(), mask, one.slice.index)
    return (mask if mask.any() else None), _of_now(request, view, saved.trajectories)


def _of_now(
    request: RunRequest, view: SliceView, trajectories: Iterable[Trajectory]
) -> dict[int, Trajectory]:
    """Slice -> episode, of the slices that are worked on now; carrying needs a mask only."""
    if request.scope is Scope.VOLUME and request.method is Method.PROPAGATE:
        return {}
    wanted = set(slice_indices(view, request))
    return {one.slice.index: one for one in trajectories if one.slice.index in wanted}
