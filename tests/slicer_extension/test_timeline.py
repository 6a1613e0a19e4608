"""The timeline replays every moment, shows no scratch nodes, and survives a saved scene."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.slicer_panel import slicer
from harness.slicer_story import Teller, phantom, three_steps, volume_node

from IBISAgentLib.parameter import Parameters, parameter_node
from IBISAgentLib.run import Run, restored
from IBISAgentLib.timeline import Timeline, is_timeline


@pytest.fixture
def run(application):
    volume = volume_node(slicer, phantom())
    teller = Teller(volume)
    run = Run(volume, teller.grid, "axial")
    for event in three_steps(teller, 7):
        run.take(event, follow=True)
    return run


def test_every_moment_is_an_item_of_both_sequences(run) -> None:
    timeline = run.display.timeline
    assert timeline.length == len(run.story.moments) == 3
    assert timeline.browser.GetNumberOfItems() == 3
    assert timeline.browser.GetNumberOfSynchronizedSequenceNodes(True) == 2
    assert timeline.selected == 2


def test_replay_shows_the_moment(run) -> None:
    timeline = run.display.timeline
    for moment, clicks in ((0, 1), (2, 2), (1, 2), (0, 1)):
        timeline.browser.SetSelectedItemNumber(moment)  # as the stock browser's slider does
        assert timeline.clicks.GetNumberOfControlPoints() == clicks
    assert timeline.clicks.GetNthControlPointDescription(0) == "Something bright lies here."
    assert timeline.clicks.GetNthControlPointLabel(0) == "1"
    assert timeline.clicks.GetLocked()


def test_the_nodes_that_are_drawn_into_belong_to_no_scene(run) -> None:
    assert run.display._clicks.GetScene() is None
    assert run.display._masks.GetScene() is None
    scene = slicer.mrmlScene
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 1
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_display_nodes_are_kept_from_moment_to_moment(run) -> None:
    timeline = run.display.timeline
    shown = (timeline.clicks.GetDisplayNode(), timeline.masks.GetDisplayNode())
    timeline.select(0)
    timeline.select(2)
    assert (timeline.clicks.GetDisplayNode(), timeline.masks.GetDisplayNode()) == shown
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialDisplayNode") == 1


def test_removing_leaves_nothing(run) -> None:
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceNode")
    run.display.remove()
    assert before == 2
    kinds = ("Sequence", "SequenceBrowser", "Segmentation", "MarkupsFiducial")
    for kind in (*kinds, "SegmentationDisplay", "MarkupsFiducialDisplay", "SegmentationStorage"):
        assert slicer.mrmlScene.GetNumberOfNodesByClass(f"vtkMRML{kind}Node") == 0


def test_a_saved_scene_replays(run, tmp_path: Path) -> None:
    parameters = Parameters(parameter_node())
    run.id = "r1"
    run.keep(parameters)
    bundle = str(tmp_path / "scene.mrb")
    slicer.mrmlScene.SetRootDirectory(str(tmp_path))
    assert slicer.mrmlScene.WriteToMRB(bundle)
    slicer.mrmlScene.Clear(False)
    assert slicer.mrmlScene.ReadFromMRB(bundle)
    loaded = Parameters(parameter_node())
    assert is_timeline(loaded.browser)
    again = restored(loaded)
    assert again is not None
    assert again.id == "r1"
    assert [moment.thought for moment in again.story.moments] == [
        moment.thought for moment in run.story.moments
    ]
    timeline = again.display.timeline
    assert timeline.length == 3
    again.show(0)
    assert timeline.clicks.GetNumberOfControlPoints() == 1
    again.show(1)
    assert timeline.clicks.GetNumberOfControlPoints() == 2
    assert not timeline.clicks.GetNthControlPointSelected(1)


def test_other_browsers_are_no_timelines(application) -> None:
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    assert not is_timeline(browser)
    assert not is_timeline(None)
    assert is_timeline(Timeline().browser)
