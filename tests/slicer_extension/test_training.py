"""Training from the panel: only what the user asks for, and shown as the server tells it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from harness.misbehaving_server import misbehaving_server, refuse, send, send_json
from harness.slicer_panel import Module, slicer
from harness.slicer_story import Teller, phantom, three_steps

from IBISAgentLib.errors import UnreadableAnswer
from IBISAgentLib.training import Report

INFO = {"version": "0.1.0", "format": "ibisagent-events/1"}
REPORT = {
    "format": "ibisagent-training/1",
    "running": False,
    "stage": "done",
    "percent": 100.0,
    "seconds_left": None,
    "before": {"dice": 0.52, "hit": 0.6, "turns": 4.1, "stops": 0.7, "absent": 0.4},
    "after": {"dice": 0.61, "hit": 0.7, "turns": 3.2, "stops": 0.9, "absent": 0.6},
    "released": True,
    "reason": "The new model is better and in use.",
    "curve": [
        {"stage": "sft", "step": step, "total_steps": 4, "loss": 2.0 / step} for step in range(1, 5)
    ],
    "model": {"version": "2", "policy": "local:embedded"},
    "studies": {"final": 7, "needed": 5, "held_back": 2},
}


@pytest.fixture
def server():
    with misbehaving_server() as server:
        server.on("GET", "/ibisagent/info", send_json(INFO))
        server.on("GET", "/ibisagent/training", send_json(REPORT))
        yield server


@pytest.fixture
def connected(module: Module, server) -> Module:
    module.show(phantom(), "phantom")
    module.widget.enter()
    module.connect(server.url)
    module.ui.promptCombo.setEditText("the ball")
    return module


def open_section(module: Module) -> None:
    module.ui.trainingSection.collapsed = False
    module.wait(lambda: module.widget.panel.training.training.report is not None)


def asked(server, method: str, beginning: str) -> list:
    return [r for r in server.requests if r.method == method and r.path.startswith(beginning)]


def shown(label) -> bool:
    return not label._real.isHidden()


def test_nobody_is_asked_while_the_section_is_folded(connected: Module, server) -> None:
    connected.events(0.5)
    assert asked(server, "GET", "/ibisagent/training") == []


def test_the_section_shows_model_figures_and_curve(connected: Module) -> None:
    open_section(connected)
    ui = connected.ui
    assert "<b>2</b>" in ui.modelLabel.text
    assert "final labels: 7, at least 5 needed" in ui.modelLabel.text
    assert ui.trainingStatusLabel.text == "The new model is better and in use."
    assert shown(ui.curveLabel)
    assert shown(ui.comparisonLabel)
    assert ui.comparisonLabel.pixmap.height() == 24 + 36 * len(REPORT["after"])  # all are shown
    assert ui.startTrainingButton.enabled
    assert not ui.stopTrainingButton.enabled


def test_training_starts_only_by_its_button(connected: Module, server) -> None:
    server.on("POST", "/train/ibisagent_sft", send_json({"id": "t1"}))
    open_section(connected)
    connected.tell(three_steps(Teller(connected.parameters.inputVolume), 7))
    connected.ui.acceptButton.click()
    connected.events(0.3)
    assert asked(server, "POST", "/train") == []
    connected.ui.trainerCombo.setCurrentIndex(1)
    running = {**REPORT, "running": True, "stage": "sft", "percent": 40.0, "seconds_left": 90.0}
    server.on("GET", "/ibisagent/training", send_json(running))
    connected.ui.startTrainingButton.click()
    connected.wait(lambda: connected.ui.stopTrainingButton.enabled)
    assert len(asked(server, "POST", "/train/ibisagent_sft")) == 1
    assert connected.ui.trainingStatusLabel.text == "Training: sft, 40 %, about 1 min 30 s left"
    assert connected.ui.trainingBar.value == 40
    assert not connected.ui.startTrainingButton.enabled


def test_a_refused_training_says_why(connected: Module, server) -> None:
    server.on("POST", "/train/ibisagent", refuse(409, "too_few_studies"))
    open_section(connected)
    connected.ui.startTrainingButton.click()
    connected.wait(lambda: not connected.widget.panel.training.training.busy)
    assert connected.ui.trainingStatusLabel.text == "It failed. Mend it."


def test_the_accepted_segment_is_submitted_as_final(connected: Module, server) -> None:
    volume = connected.parameters.inputVolume
    connected.tell(three_steps(Teller(volume), 7))
    connected.ui.acceptButton.click()
    image = connected.logic.volumes.take(volume, connected.logic.connection.url).image
    server.on("HEAD", f"/ibisagent/images/{image}", send(200, b""))
    server.on("PUT", "/datastore/label", send_json({"label": image}))
    open_section(connected)
    connected.ui.submitButton.click()
    connected.wait(lambda: not connected.widget.panel.training.training.busy)
    (put,) = asked(server, "PUT", "/datastore/label")
    assert put.query["image"] == image
    assert put.query["tag"] == "final"
    assert b"the ball" in put.body
    assert "the ball was submitted" in connected.ui.trainingStatusLabel.text


def test_without_a_segment_nothing_is_submitted(connected: Module, server) -> None:
    open_section(connected)
    connected.ui.submitButton.click()
    assert "No segment is chosen" in connected.ui.trainingStatusLabel.text
    assert asked(server, "PUT", "/datastore/label") == []


def test_the_next_study_is_loaded_and_selected(connected: Module, server, tmp_path) -> None:
    path = tmp_path / "next.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((3, 4, 5), np.int16)), str(path))
    name = {"Content_Disposition": 'attachment; filename="study7.nrrd"'}
    chosen = send_json({"id": "study7"})
    server.on("POST", "/activelearning/ibisagent_uncertainty", chosen)
    server.on("GET", "/datastore/image", send(200, path.read_bytes(), "image/nrrd", **name))
    loaded = []

    def load(path: str) -> object:
        loaded.append(path)
        return connected.show(sitk.ReadImage(path), "study7")

    slicer.util.loadVolume = load
    open_section(connected)
    connected.ui.nextStudyButton.click()
    connected.wait(lambda: not connected.widget.panel.training.training.busy)
    assert loaded[0].endswith("study7.nrrd")
    assert connected.parameters.inputVolume.GetName() == "study7"
    assert json.loads(asked(server, "POST", "/activelearning")[0].body or b"{}") == {}


def test_no_study_left_is_said(connected: Module, server) -> None:
    server.on("POST", "/activelearning/ibisagent_uncertainty", send_json({}))
    open_section(connected)
    connected.ui.nextStudyButton.click()
    connected.wait(lambda: not connected.widget.panel.training.training.busy)
    assert "Every study" in connected.ui.trainingStatusLabel.text


@pytest.mark.parametrize("data", [[], "text", None])
def test_a_report_that_is_none_is_refused(data: object) -> None:
    with pytest.raises(UnreadableAnswer):
        Report.read(data)


def test_a_report_with_odd_values_is_borne() -> None:
    odd = {"percent": "x", "curve": [1, {"step": None, "loss": "nan"}], "model": 3, "before": [1]}
    report = Report.read(odd)
    assert report.percent == 0.0
    assert report.before == {}
    assert report.version == ""
