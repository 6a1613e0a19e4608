"""The panel's fields become the server's."""

from __future__ import annotations

import pytest
from harness.slicer_panel import slicer
from harness.slicer_story import phantom, volume_node

from IBISAgentLib import views
from IBISAgentLib.errors import OutsideVolume
from IBISAgentLib.geometry import SlicePicture
from IBISAgentLib.parameter import Parameters, Plane, Scope, parameter_node
from IBISAgentLib.request import run_request, shown_slice
from IBISAgentLib.upload import world_grid

TURNED = {"turn": (0.2, -0.1, 0.15), "flip": (1, -1, -1)}


@pytest.fixture
def parameters(application) -> Parameters:
    made = Parameters(parameter_node())
    made.prompt = "the \n left kidney "
    return made


def look_at(volume, plane: str, index: int) -> None:
    views.go_to(views.view_of(plane), tuple(SlicePicture(world_grid(volume), plane, index).centre))


@pytest.mark.parametrize("geometry", [{}, TURNED], ids=["plain", "turned"])
@pytest.mark.parametrize("plane", list(Plane))
def test_the_shown_slice_is_asked_for(application, parameters, geometry, plane: Plane) -> None:
    volume = volume_node(slicer, phantom(**geometry))
    application.show(volume)
    views.align(views.view_of(plane.value), volume)
    parameters.plane = plane
    for index in (0, 5, 11):
        look_at(volume, plane.value, index)
        request = run_request(parameters, world_grid(volume))
        assert request.slice == index
        assert request.plane == plane.value
        assert request.scope == "slice"
        assert request.prompt == "the left kidney"


def test_beside_the_volume_no_slice_is_shown(application, parameters) -> None:
    volume = volume_node(slicer, phantom())
    application.show(volume)
    views.view_of("axial").SetSliceOffset(5000.0)
    with pytest.raises(OutsideVolume, match="axial view"):
        run_request(parameters, world_grid(volume))


def test_a_range_is_put_in_order_and_inside(application, parameters) -> None:
    volume = volume_node(slicer, phantom())
    parameters.scope, parameters.firstSlice, parameters.lastSlice = Scope.RANGE, 99, 3
    request = run_request(parameters, world_grid(volume))
    assert (request.first, request.last, request.slice) == (3, 13, None)


def test_a_volume_needs_no_slice(application, parameters) -> None:
    volume = volume_node(slicer, phantom())
    parameters.scope = Scope.VOLUME
    request = run_request(parameters, world_grid(volume))
    assert (request.slice, request.first, request.last) == (None, None, None)
    assert request.scope == "volume"


def test_a_click_begins_on_its_own_slice(application, parameters) -> None:
    volume = volume_node(slicer, phantom())
    grid = world_grid(volume)
    place = tuple(map(float, grid.to_ras((30, 26, 9))))
    request = run_request(parameters, grid, (place, False))
    (click,) = request.clicks
    assert request.slice == click.index == 9
    assert click.positive is False
    assert request.wait_for_human is None
    parameters.agentGoesOn = False
    assert run_request(parameters, grid, (place, True)).wait_for_human is True


def test_a_click_beside_the_volume_is_refused(application, parameters) -> None:
    volume = volume_node(slicer, phantom())
    with pytest.raises(OutsideVolume):
        run_request(parameters, world_grid(volume), ((1e4, 0.0, 0.0), True))


def test_the_view_is_found_by_its_orientation(application) -> None:
    volume = volume_node(slicer, phantom())
    application.show(volume)
    views.view_of("axial").SetOrientation("Sagittal")
    assert views.view_of("axial").GetLayoutName() == "Red"
    assert views.view_of("sagittal").GetLayoutName() == "Yellow"
    assert shown_slice(world_grid(volume), "coronal") > 0


def test_no_volume_is_shown_at_first(application) -> None:
    assert views.shown_volume() is None
    volume = volume_node(slicer, phantom())
    application.show(volume)
    assert views.shown_volume().GetID() == volume.GetID()
