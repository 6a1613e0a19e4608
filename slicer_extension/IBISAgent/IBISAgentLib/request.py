"""From the panel's fields to the server's."""

from __future__ import annotations

import math

from . import views
from .errors import OutsideVolume
from .geometry import Grid, SlicePicture
from .parameter import Parameters, Scope
from .run_fields import Click, RunRequest

Place = tuple[float, float, float]
"""RAS in mm."""


def run_request(
    parameters: Parameters, grid: Grid, click: tuple[Place, bool] | None = None
) -> RunRequest:
    """What the parameters ask for.

    Args:
        parameters: Of the module.
        grid: Of the input volume.
        click: A place and whether it is positive, where a person begins.

    Raises:
        OutsideVolume: The click, or the slice that is shown, is outside the volume.
    """
    plane, scope = parameters.plane.value, parameters.scope
    limits = sorted((parameters.firstSlice, parameters.lastSlice))
    is_range = scope is Scope.RANGE
    clicks: tuple[Click, ...] = ()
    if click is not None:
        index, x, y = grid.place(plane, click[0])
        clicks = (Click(click[1], index=index, x=x, y=y),)
    elif scope is Scope.SLICE:
        index = shown_slice(grid, plane)
    return RunRequest(
        image="",  # the worker fills it in
        prompt=" ".join(parameters.prompt.split()),
        plane=plane,
        scope=scope.value,
        slice=index if scope is Scope.SLICE else None,
        first=limits[0] if is_range else None,
        last=min(limits[1], grid.count(plane) - 1) if is_range else None,
        max_steps=parameters.maxSteps,
        seed=parameters.seed,
        clicks=clicks,
        wait_for_human=True if clicks and not parameters.agentGoesOn else None,
    )


def shown_slice(grid: Grid, plane: str) -> int:
    """Number of the slice of a volume that the plane's view shows.

    Raises:
        OutsideVolume: The view is beside the volume.
    """
    node = views.view_of(plane)
    axis = SlicePicture(grid, plane, 0).axis
    if node is None:
        return grid.count(plane) // 2
    index = math.floor(grid.to_ijk(views.centre(node))[axis] + 0.5)
    if not 0 <= index < grid.count(plane):
        raise OutsideVolume(
            f"The {plane} view shows no slice of the volume.", f"Scroll the {plane} view onto it."
        )
    return index
