"""What the slice views show, by pixels of real renderings. Pictures are kept as artefacts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import vtk
from harness.slicer_panel import slicer
from harness.slicer_story import Teller, disc, phantom, three_steps, volume_node
from harness.slicer_view import SliceViewWindow

from IBISAgentLib import views
from IBISAgentLib.run import Run

MIDDLE = 7
GEOMETRIES = {
    "plain": {},
    "oblique": {"turn": (0.3, -0.2, 0.15)},
    "flipped": {"flip": (-1, -1, 1)},
    "anisotropic": {"spacing": (1.0, 2.0, 5.0)},
}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Folder for pictures; IBISAGENT_PICTURES keeps them."""
    return Path(os.environ.get("IBISAGENT_PICTURES", tmp_path))


def shown_run(application, plane: str = "axial", follow: bool = True, **geometry) -> Run:
    volume = volume_node(slicer, phantom(**geometry))
    return run_on(application, volume, plane, follow)


def run_on(application, volume, plane: str = "axial", follow: bool = True) -> Run:
    application.show(volume)
    views.align(views.view_of(plane), volume)
    teller = Teller(volume, plane)
    run = Run(volume, teller.grid, plane)
    for event in three_steps(teller, MIDDLE if plane == "axial" else 30):
        run.take(event, follow)
    return run


def is_green(pixel) -> bool:
    red, green, blue = (int(value) for value in pixel)
    return green > red + 25 and green > blue + 25


def is_red(pixel) -> bool:
    red, green, blue = (int(value) for value in pixel)
    return red > green + 60 and red > blue + 60


def world(run: Run, pixel: tuple[int, int], index: int = MIDDLE):
    picture = run.pictures.of(index)
    return tuple(map(float, run.pictures.grid.to_ras(picture.voxel_at(*pixel))))


def centre(run: Run, index: int = MIDDLE) -> tuple[int, int]:
    height, width = run.pictures.of(index).shape
    return height // 2, width // 2


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_clicks_and_fill_are_where_the_agent_put_them(application, pictures, geometry) -> None:
    run = shown_run(application, **geometry)
    window = SliceViewWindow(application, "Red")
    run.show(1)
    picture = window.picture()
    name = next(key for key, value in GEOMETRIES.items() if value == geometry)
    window.save(pictures / f"clicks_{name}.png")
    row, column = centre(run)
    assert is_green(picture[window.pixel(world(run, (row - 3, column)))]), "the positive click"
    assert is_red(picture[window.pixel(world(run, (row + 8, column)))]), "the negative click"
    inside = picture[window.pixel(world(run, (row - 3, column - 5)))]
    assert is_green(inside), "the fill inside the mask"
    outside = picture[window.pixel(world(run, (row + 1, column + 18)))]
    assert not is_green(outside)
    assert not is_red(outside)


@pytest.mark.parametrize(("plane", "view"), [("coronal", "Green"), ("sagittal", "Yellow")])
def test_other_planes(application, plane: str, view: str, pictures) -> None:
    run = shown_run(application, plane=plane, size=(64, 60, 58), spacing=(1.5, 1.5, 1.5))
    window = SliceViewWindow(application, view)
    run.show(0)
    row, column = centre(run, 30)
    window.save(pictures / f"{plane}.png")
    picture = window.picture()
    assert is_green(picture[window.pixel(world(run, (row - 3, column), 30))])
    assert is_green(picture[window.pixel(world(run, (row + 8, column), 30))])


def test_volume_under_a_transform(application, pictures) -> None:
    volume = volume_node(slicer, phantom())
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    turn = vtk.vtkTransform()
    turn.Translate(20, -10, 35)
    turn.RotateZ(25)
    transform.SetMatrixTransformToParent(turn.GetMatrix())
    volume.SetAndObserveTransformNodeID(transform.GetID())
    run = run_on(application, volume)
    window = SliceViewWindow(application, "Red")
    run.show(1)
    window.save(pictures / "transformed.png")
    picture, (row, column) = window.picture(), centre(run)
    assert is_green(picture[window.pixel(world(run, (row - 3, column)))])
    assert is_red(picture[window.pixel(world(run, (row + 8, column)))])
    assert is_green(picture[window.pixel(world(run, (row - 3, column - 5)))])


def test_the_previous_mask_is_an_outline(application, pictures) -> None:
    run = shown_run(application)
    window = SliceViewWindow(application, "Red")
    run.show(1)  # the mask shrank: the old rim lies outside the new fill
    window.save(pictures / "outline.png")
    row, column = centre(run)
    around = [world(run, (row + step, column)) for step in np.arange(10, 13)]
    yellow = [window.picture()[window.pixel(place)] for place in around]
    rows, columns = zip(*(window.pixel(place) for place in around), strict=True)
    strip = window.picture()[min(rows) - 4 : max(rows) + 5, min(columns) : max(columns) + 1]
    found = (strip[..., 0] > 150) & (strip[..., 1] > 110) & (strip[..., 2] < 120)
    assert found.any(), yellow
    assert not is_green(window.picture()[window.pixel(world(run, (row + 6, column + 4)))])


def test_off_their_slice_clicks_fade_and_fills_are_gone(application, pictures) -> None:
    run = shown_run(application)
    window = SliceViewWindow(application, "Red")
    run.show(1)
    row, column = centre(run)
    negative, inside = world(run, (row + 8, column)), world(run, (row - 3, column - 5))
    at = window.pixel(negative)
    strong = window.picture()[at].astype(int)
    run.look_at(MIDDLE + 2)
    window.save(pictures / "faded.png")
    picture = window.picture()
    faded = picture[at].astype(int)
    assert is_red(strong)
    assert 5 < faded[0] - faded[1] < strong[0] - strong[1]
    assert not is_green(picture[window.pixel(inside)])


def test_other_slices_stand_as_at_the_moment(application) -> None:
    volume = volume_node(slicer, phantom())
    application.show(volume)
    teller = Teller(volume)
    run = Run(volume, teller.grid, "axial")
    mask = disc(teller.shape(), 26, 30, 8)
    events = [
        teller.started(scope="volume"),
        teller.slice(5),
        teller.step(5, "positive", mask, (26, 30)),
        teller.done(5, mask),
        teller.slice(8),
        teller.step(8, "positive", mask, (26, 30)),
        teller.done(8, mask),
        teller.done(6, mask, carried=True),
        teller.done(7, mask, carried=True),
    ]
    for event in events:
        run.take(event, follow=True)
    window = SliceViewWindow(application, "Red")

    def filled(index: int) -> bool:
        run.look_at(index)
        return is_green(window.picture()[window.pixel(world(run, (26, 26), index))])

    assert [filled(index) for index in (4, 5, 6, 7, 8, 9)] == [False, True, True, True, True, False]
    run.display.show(0, run.story)
    assert [filled(index) for index in (5, 6, 8)] == [True, False, False]
    run.display.show(1, run.story)
    assert [filled(index) for index in (5, 6, 8)] == [True, True, True]


def test_many_slices_at_once(application) -> None:
    """Going through time in a volume writes all slices together."""
    volume = volume_node(slicer, phantom(size=(64, 60, 40), spacing=(1.5, 1.5, 1.5)))
    application.show(volume)
    teller = Teller(volume)
    run = Run(volume, teller.grid, "axial")
    mask = disc(teller.shape(), 26, 30, 8)
    run.take(teller.started(scope="volume"), True)
    run.take(teller.slice(3), True)
    run.take(teller.step(3, "positive", mask, (26, 30)), True)
    run.take(teller.slice(30), True)
    for index in range(4, 30):
        run.take(teller.done(index, mask, carried=True), True)
    run.take(teller.step(30, "positive", mask, (26, 30)), True)
    node = run.display._elsewhere
    held = slicer.util.arrayFromSegmentBinaryLabelmap(node, "elsewhere", volume)
    assert [bool(held[k].any()) for k in (2, 3, 4, 29, 30)] == [False, True, True, True, False]
    run.display.show(0, run.story)
    held = slicer.util.arrayFromSegmentBinaryLabelmap(node, "elsewhere", volume)
    assert not held[3].any()
    assert held[4].any()  # carried before the next moment came


def test_hidden_when_accepted_and_back_when_looked_at(application) -> None:
    run = shown_run(application)
    window = SliceViewWindow(application, "Red")
    run.show(1)
    at = window.pixel(world(run, (centre(run)[0] - 3, centre(run)[1])))
    run.display.set_visible(False)
    assert not is_green(window.picture()[at])
    run.display.set_visible(True)
    assert is_green(window.picture()[at])


def test_a_forgotten_run_leaves_nothing_behind(application) -> None:
    run = shown_run(application)
    window = SliceViewWindow(application, "Red")
    run.show(1)
    at = window.pixel(world(run, (centre(run)[0] + 8, centre(run)[1])))
    assert is_red(window.picture()[at])
    run.display.remove()
    picture = window.picture()
    assert not is_red(picture[at])
    assert not any(is_green(pixel) for pixel in picture.reshape(-1, 3)[::7])


def test_not_following_leaves_the_view_alone(application) -> None:
    volume = volume_node(slicer, phantom())
    application.show(volume)
    node = views.view_of("axial")
    node.SetSliceOffset(103.0)
    run_on_follow = Run(volume, Teller(volume).grid, "axial")
    for event in three_steps(Teller(volume), MIDDLE):
        run_on_follow.take(event, follow=False)
    assert node.GetSliceOffset() == pytest.approx(103.0)
    assert run_on_follow.display.timeline.selected == 0
