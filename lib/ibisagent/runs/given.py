"""What a person brings to a new run: an earlier mask, an earlier run, clicks."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ibisagent.actions import Click
from ibisagent.errors import InvalidRequest
from ibisagent.runs.orders import RunRequest
from ibisagent.runs.run import Run
from ibisagent.segment import Method, Scope, slice_indices
from ibisagent.slice_player import Given
from ibisagent.slices import SliceView
from ibisagent.trajectory import Trajectory
from ibisagent.volume import read_image


def given_for(
    request: RunRequest, view: SliceView, label: Path | None, earlier: Run | None
) -> Given:
    """Put together what the agent goes on from.

    Of an earlier run, the episodes on the slices that are now worked on are taken up with all
    their steps; elsewhere, and where masks are carried through a volume, its mask is.

    Args:
        request: The new run's, with its slice filled in.
        view: The image in the plane of the request.
        label: File of a label to start from.
        earlier: A run to take up.

    Raises:
        InvalidRequest: Both are given, the earlier run is of another image, or the label has
            another grid.
        IBISAgentError: The label cannot be read.
    """
    if label is not None and earlier is not None:
        raise InvalidRequest(
            "A run starts from a label or from an earlier run, not from both.",
            "Leave out start_label or resume.",
        )
    clicks: dict[int, list[Click]] = defaultdict(list)
    for each in request.clicks:
        index, click = each.on(view)
        clicks[index].append(click)
    if earlier is not None:
        mask, records = _taken_up(request, view, earlier)
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
    records: dict[int, Trajectory] = {}
    carried = request.scope is Scope.VOLUME and request.method is Method.PROPAGATE
    if earlier.facts.plane == view.plane.value and not carried:
        wanted = set(slice_indices(view, request))
        trajectories, _ = earlier.trajectories()
        records = {one.slice.index: one for one in trajectories if one.slice.index in wanted}
    return (mask if mask.any() else None), records
