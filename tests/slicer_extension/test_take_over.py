"""A person's clicks come from Slicer's own placing of points, and leave no points behind."""

from __future__ import annotations

import pytest
import vtk
from harness.slicer_panel import slicer

from IBISAgentLib.take_over import TakeOver


class Ears:
    def __init__(self) -> None:
        self.clicks: list[tuple[tuple[float, float, float], bool]] = []
        self.ended = 0
        self.later: list = []

    def run(self) -> None:
        for function in self.later:
            function()
        self.later.clear()


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def take_over(application, ears: Ears):
    def end() -> None:
        ears.ended += 1

    made = TakeOver(lambda place, yes: ears.clicks.append((place, yes)), end, ears.later.append)
    yield made
    made.stop()


def node() -> object:
    return slicer.mrmlScene.GetFirstNodeByName("IBISAgent your click")


def interaction(application) -> object:
    return application.applicationLogic().GetInteractionNode()


def place(x: float, y: float, z: float) -> None:
    """As the slice view does when a person clicks."""
    node().AddControlPoint(vtk.vtkVector3d(x, y, z))


def test_a_click_is_told_and_its_point_taken_away(take_over, ears, application) -> None:
    take_over.start(True)
    mode = interaction(application)
    assert mode.GetCurrentInteractionMode() == mode.Place
    assert mode.GetPlaceModePersistence()
    place(1.0, -2.0, 3.5)
    assert ears.clicks == [], "a point cannot be removed while it is being placed"
    ears.run()
    assert ears.clicks == [((1.0, -2.0, 3.5), True)]
    assert node().GetNumberOfControlPoints() == 0
    place(4.0, 5.0, 6.0)
    ears.run()
    assert len(ears.clicks) == 2, "many clicks in a row"


def test_polarity_is_that_of_the_button(take_over, ears) -> None:
    take_over.start(False)
    place(0, 0, 0)
    ears.run()
    assert ears.clicks[0][1] is False
    red, green, _ = node().GetDisplayNode().GetSelectedColor()
    assert red > green


def test_stopping_leaves_slicer_as_it_was(take_over, application) -> None:
    take_over.start(True)
    take_over.stop()
    mode = interaction(application)
    assert mode.GetCurrentInteractionMode() == mode.ViewTransform
    assert not mode.GetPlaceModePersistence()
    assert node() is None
    assert not take_over.on
    take_over.stop()  # twice is no trouble


def test_leaving_place_mode_otherwise_ends_it(take_over, ears, application) -> None:
    take_over.start(True)
    mode = interaction(application)
    mode.SetCurrentInteractionMode(mode.ViewTransform)  # the Esc key, or another module
    assert ears.ended == 1
    assert not take_over.on
    assert node() is None


def test_points_of_a_volume_under_a_transform_are_in_the_world(take_over, ears) -> None:
    take_over.start(True)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 100.0)
    transform.SetMatrixTransformToParent(matrix)
    node().SetAndObserveTransformNodeID(transform.GetID())
    node().AddControlPointWorld(vtk.vtkVector3d(7, 8, 9))
    ears.run()
    assert ears.clicks[0][0] == pytest.approx((7, 8, 9))


def test_the_node_is_not_saved(take_over) -> None:
    take_over.start(True)
    assert not node().GetSaveWithScene()
    assert node().GetHideFromEditors()
