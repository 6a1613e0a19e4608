"""The panel and a real server of this project, whose agent does as its prompt says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
import SimpleITK as sitk
from harness.slicer_panel import Module, open_module, slicer
from harness.slicer_story import phantom

from demo.server import Server

APP = Path(__file__).resolve().parents[1] / "monailabel_app" / "obedient_app"
pytestmark = pytest.mark.timeout(900)  # a busy machine takes minutes to start a server

TURNED = {"turn": (0.2, -0.1, 0.15), "flip": (1, -1, -1), "spacing": (1.5, 1.5, 4.0)}
BALL = (30, 26, 7)
"""Voxel (i, j, k) in the phantom's bright ball."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    studies, checkpoint = folder / "studies", folder / "checkpoint"
    studies.mkdir()
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")  # one that states no vocabulary
    conf = {"policy": str(checkpoint), "max_steps": "7"}
    with Server(studies, folder / "log.txt", APP, conf) as server:
        yield server


@pytest.fixture
def module(server: Server, tmp_path: Path) -> Iterator[Module]:
    """Connected, with an oblique and flipped volume shown at the ball's slice."""
    with open_module(tmp_path) as opened:
        from IBISAgentLib import views

        volume = opened.show(phantom(**TURNED), "phantom")
        views.align(views.view_of("axial"), volume)
        opened.widget.enter()
        opened.connect(server.url)
        views.go_to(views.view_of("axial"), ras(volume, BALL))
        yield opened


def ras(volume, ijk) -> tuple[float, float, float]:
    from IBISAgentLib.upload import world_grid

    return tuple(map(float, world_grid(volume).to_ras(ijk)))


def prompt_for(volume, ijk, plane: str = "axial") -> str:
    from IBISAgentLib.upload import world_grid

    _, x, y = world_grid(volume).place(plane, ras(volume, ijk))
    return f"click {x:.4f} {y:.4f}"


def run(module: Module, prompt: str) -> None:
    module.ui.promptCombo.setEditText(prompt)
    module.ui.runButton.click()
    rest(module)


def rest(module: Module, seconds: float = 60) -> None:
    module.wait(lambda: not module.logic.busy, seconds)
    assert module.logic.trouble is None, module.logic.trouble


def served(module: Module, server: Server, path: Path) -> np.ndarray:
    """The server's mask, axes (k, j, i)."""
    url = f"{server.url}/ibisagent/runs/{module.logic.run.id}/mask?suffix=.nrrd"
    path.write_bytes(requests.get(url, timeout=30).content)
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def accepted(module: Module) -> np.ndarray:
    module.ui.acceptButton.click()
    node, segment = module.logic.run.accepted
    node = slicer.mrmlScene.GetNodeByID(node)
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, module.logic.run.volume)


def test_typed_watched_and_accepted(module: Module, server: Server, tmp_path: Path) -> None:
    volume = module.parameters.inputVolume
    run(module, prompt_for(volume, BALL))
    kinds = [moment.kind for moment in module.logic.run.story.moments]
    assert kinds == ["positive", "terminate"]
    assert module.logic.run.story.moments[0].ijk == BALL
    assert "It is marked." in module.ui.answerLabel.text
    mask = accepted(module)
    ball = slicer.util.arrayFromVolume(volume)[BALL[2]] > 200
    np.testing.assert_array_equal(mask[BALL[2]] > 0, ball)
    np.testing.assert_array_equal(mask, served(module, server, tmp_path / "mask.nrrd"))


@pytest.mark.parametrize(("index", "plane"), [(1, "coronal"), (2, "sagittal")])
def test_other_planes_of_an_oblique_volume(
    module: Module, server: Server, tmp_path: Path, index: int, plane: str
) -> None:
    from IBISAgentLib import views

    volume = module.parameters.inputVolume
    views.align(views.view_of(plane), volume)
    views.go_to(views.view_of(plane), ras(volume, BALL))
    module.ui.planeCombo.currentIndex = index
    run(module, prompt_for(volume, BALL, plane))
    assert module.logic.run.story.moments[0].ijk == BALL
    np.testing.assert_array_equal(accepted(module), served(module, server, tmp_path / "mask.nrrd"))


def test_an_absent_target_makes_no_segment(module: Module) -> None:
    run(module, "anything else")
    assert not module.logic.run.found
    assert "Nothing was marked" in module.ui.answerLabel.text
    assert not module.ui.acceptButton.enabled
    assert module.ui.segmentationSelector.currentNode() is None


def test_stepping_in_stepping_back_and_going_on(module: Module) -> None:
    volume = module.parameters.inputVolume
    run(module, prompt_for(volume, BALL))
    module.ui.agentGoesOnCheck.setChecked(False)
    module.ui.negativeButton.click()
    node = slicer.mrmlScene.GetFirstNodeByName("IBISAgent your click")
    node.AddControlPoint(*ras(volume, (12, 30, BALL[2])))
    module.wait(lambda: len(module.logic.run.story.moments) == 3)
    rest(module)
    moment = module.logic.run.story.moments[-1]
    assert (moment.author, moment.kind, moment.ijk) == ("human", "negative", (12, 30, BALL[2]))
    assert module.ui.stepsTable.item(2, 5).text() == "you"
    assert module.ui.stepsTable.item(2, 2).text() == "Your click: this does not belong to it."
    module.ui.undoButton.click()
    module.wait(lambda: len(module.logic.run.story.moments) == 4)
    rest(module)
    assert module.ui.stepsTable.item(2, 0).font().strikeOut()
    module.ui.continueButton.click()
    module.wait(lambda: len(module.logic.run.story.moments) > 4)
    rest(module)


def test_a_person_may_begin(module: Module) -> None:
    module.ui.agentGoesOnCheck.setChecked(False)
    module.ui.promptCombo.setEditText("anything else")
    module.ui.positiveButton.click()
    node = slicer.mrmlScene.GetFirstNodeByName("IBISAgent your click")
    node.AddControlPoint(*ras(module.parameters.inputVolume, BALL))
    module.wait(lambda: module.logic.run is not None)
    rest(module)
    (moment,) = module.logic.run.story.moments
    assert (moment.author, moment.ijk) == ("human", BALL)
    assert module.ui.acceptButton.enabled


def test_a_click_beside_the_volume_is_refused_in_words(module: Module) -> None:
    run(module, prompt_for(module.parameters.inputVolume, BALL))
    module.ui.positiveButton.click()
    slicer.mrmlScene.GetFirstNodeByName("IBISAgent your click").AddControlPoint(0, 0, 5000)
    module.wait(lambda: module.logic.trouble is not None)
    assert "outside the volume" in module.ui.statusLabel.text
    assert not module.logic.busy


def test_cancelling_keeps_what_stands(module: Module) -> None:
    prompt = prompt_for(module.parameters.inputVolume, BALL)
    module.ui.promptCombo.setEditText(f"wait 5 {prompt}")  # and again before it is content
    module.ui.runButton.click()
    module.wait(lambda: bool(module.logic.run.story.moments), 60)
    module.ui.cancelButton.click()
    rest(module)
    assert module.ui.statusLabel.text.startswith("Cancelled after")
    assert len(module.logic.run.story.moments) == 1
    assert module.ui.acceptButton.enabled


def test_the_volume_is_sent_once(module: Module, server: Server) -> None:
    prompt = prompt_for(module.parameters.inputVolume, BALL)
    run(module, prompt)
    image = module.logic.run.story.started.image
    run(module, prompt)
    assert module.logic.run.story.started.image == image
    # A transform of the volume makes it another image; the same volume is found again.
    answer = requests.head(f"{server.url}/ibisagent/images/{image}", timeout=10)
    assert answer.status_code == 200


def test_a_run_starts_from_a_segment(module: Module, server: Server, tmp_path: Path) -> None:
    from IBISAgentLib import acceptance
    from IBISAgentLib.geometry import Box
    from IBISAgentLib.rle import decode
    from IBISAgentLib.segment_writer import write_box

    volume = module.parameters.inputVolume
    node = acceptance.segmentation_for(volume)
    segment = acceptance.segment_for(node, "yesterday")
    write_box(node, segment, Box((10, 12, BALL[2]), np.ones((1, 5, 6), np.uint8)), volume)
    module.parameters.segmentation, module.parameters.segmentId = node, segment
    module.ui.startFromCheck.setChecked(True)
    run(module, "anything else")
    mask = module.logic.run.story.masks_at()[BALL[2]]
    assert decode(mask).sum() == 30
    np.testing.assert_array_equal(
        served(module, server, tmp_path / "mask.nrrd")[BALL[2], 12:17, 10:16], 1
    )


def test_whole_volume(module: Module, server: Server, tmp_path: Path) -> None:
    module.ui.scopeCombo.currentIndex = 2
    run(module, prompt_for(module.parameters.inputVolume, BALL))
    np.testing.assert_array_equal(accepted(module), served(module, server, tmp_path / "mask.nrrd"))


def test_a_failing_agent_is_reported(module: Module) -> None:
    module.ui.promptCombo.setEditText("fail")
    module.ui.runButton.click()
    module.wait(lambda: not module.logic.busy, 60)
    assert module.logic.trouble is not None
    assert module.ui.statusLabel.text == str(module.logic.trouble)
    assert module.ui.runButton.enabled


def test_the_panel_lives_while_the_agent_thinks(module: Module) -> None:
    import time

    module.ui.promptCombo.setEditText("wait 2")
    module.ui.runButton.click()
    slowest, last = 0.0, time.perf_counter()
    while module.logic.busy:
        module.events(0.01)
        slowest, last = max(slowest, time.perf_counter() - last), time.perf_counter()
    assert slowest < 0.5
    assert "so far" not in module.ui.statusLabel.text
