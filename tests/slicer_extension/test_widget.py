"""The panel, as a person uses it: what it offers, says, shows and remembers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from harness.misbehaving_server import misbehaving_server, refuse, send_json, stall
from harness.slicer_panel import Module, open_module, slicer
from harness.slicer_story import Teller, disc, phantom, three_steps

from IBISAgentLib.parameter import Plane, Scope
from IBISAgentLib.worker import Refused

INFO = {
    "version": "0.1.0",
    "format": "ibisagent-events/1",
    "policy": "local:embedded",
    "tool": "litemedsam",
    "examples": ["the left kidney", "the spleen"],
    "knows": ["liver", "spleen"],
    "limits": {"max_steps": 12},
}


@pytest.fixture
def server():
    with misbehaving_server() as server:
        server.on("GET", "/ibisagent/info", send_json(INFO))
        yield server


@pytest.fixture
def ready(module: Module) -> Module:
    """A volume is shown, a server has answered, a prompt is typed."""
    module.show(phantom(), "phantom")
    module.widget.enter()
    module.answered(policy="local:embedded", tool="litemedsam", examples=("the spleen",))
    module.ui.promptCombo.setEditText("the ball")
    return module


def shown(label) -> bool:
    return not label._real.isHidden()


def rows(module: Module) -> list[list[str]]:
    table = module.ui.stepsTable
    return [
        [table.item(row, column).text() for column in range(table.columnCount)]
        for row in range(table.rowCount)
    ]


# The server


def test_connecting_tells_who_answers(module: Module, server) -> None:
    module.connect(server.url)
    assert module.ui.serverStatusLabel.text == "Connected: IBISAgent 0.1.0, on this computer"
    assert module.ui.policyLabel.text == "local:embedded"
    assert module.ui.toolLabel.text == "litemedsam"
    assert module.ui.examplesButton.enabled
    menu = module.ui.examplesButton.menu()
    menu.actions()[1].trigger()
    assert module.ui.promptCombo.currentText == "the spleen"
    assert module.parameters.prompt == "the spleen"
    menu.actions()[-1].menu().actions()[0].trigger()
    assert module.parameters.prompt == "liver"
    assert module.ui.maxStepsSpin.maximum == 12


def test_nothing_is_sent_before_the_button_is_pressed(module: Module, server) -> None:
    module.ui.serverCombo.setEditText(server.url)
    module.widget.enter()
    module.events(0.3)
    assert server.requests == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:9", "No server"),
        ("ftp://x", "'ftp'"),
        ("http://no-such-host.invalid", "no-such-host.invalid"),
    ],
)
def test_why_a_connection_fails_is_said(module: Module, address: str, words: str) -> None:
    module.connect(address)
    assert words in module.ui.serverStatusLabel.text
    assert not module.ui.runButton.enabled
    assert module.ui.runButton.toolTip == "Connect to a server first."


def test_a_server_that_refuses_is_quoted(module: Module, server) -> None:
    server.on("GET", "/ibisagent/info", refuse(401))
    module.connect(server.url)
    assert "Mend it." in module.ui.serverStatusLabel.text


def test_a_server_that_says_nothing_does_not_freeze_the_panel(module: Module, server) -> None:
    server.on("GET", "/ibisagent/info", stall)
    module.ui.serverCombo.setEditText(server.url)
    module.ui.connectButton.click()
    module.events(0.3)
    assert "Asking the server" in module.ui.serverStatusLabel.text
    assert not module.ui.connectButton.enabled


def test_servers_are_remembered(module: Module, server, tmp_path: Path) -> None:
    module.connect(server.url)
    combo = module.ui.serverCombo
    assert [combo.itemText(number) for number in range(combo.count)] == [server.url]
    import qt

    assert qt.QSettings().value("IBISAgent/servers") in (server.url, [server.url])


# Consent


def test_another_computer_gets_nothing_without_consent(ready: Module) -> None:
    ready.logic.connect("http://192.0.2.1:8000")
    ready.answered()
    ready.agrees = False
    ready.ui.runButton.click()
    assert len(ready.asked) == 1
    assert "192.0.2.1" in ready.asked[0]
    assert ready.logic.run is None


def test_consent_is_asked_once_for_a_server(ready: Module) -> None:
    ready.logic.connect("http://192.0.2.1:8000")
    ready.answered()
    ready.ui.runButton.click()
    ready.logic.cancel()
    ready.ui.cancelButton.click()
    ready.logic.run.rests()
    ready.logic.on_change("run")
    ready.ui.runButton.click()
    assert len(ready.asked) == 1


def test_this_computer_needs_no_consent(ready: Module, server) -> None:
    ready.connect(server.url)
    ready.ui.runButton.click()
    assert ready.asked == []


# The task


def test_the_shown_volume_is_the_input(ready: Module) -> None:
    assert ready.ui.inputSelector.currentNode().GetName() == "phantom"
    other = ready.show(phantom(), "other")
    assert ready.parameters.inputVolume.GetName() == "phantom"
    ready.ui.inputSelector.setCurrentNode(other)
    assert ready.parameters.inputVolume.GetName() == "other"


def test_run_needs_a_prompt_and_a_volume(ready: Module) -> None:
    assert ready.ui.runButton.enabled
    ready.ui.promptCombo.setEditText("  ")
    assert not ready.ui.runButton.enabled
    ready.ui.promptCombo.setEditText("the ball")
    ready.parameters.inputVolume = None
    assert not ready.ui.runButton.enabled


def test_the_range_shows_only_when_it_counts(ready: Module) -> None:
    assert not shown(ready.ui.rangeRow)
    ready.ui.scopeCombo.currentIndex = 1
    assert ready.parameters.scope is Scope.RANGE
    assert shown(ready.ui.rangeRow)
    from IBISAgentLib import views

    views.view_of("axial").SetSliceOffset(100.0 + 4.0 * 5)
    ready.ui.firstHereButton.click()
    assert ready.parameters.firstSlice == 5
    ready.ui.planeCombo.currentIndex = 2
    assert ready.parameters.plane is Plane.SAGITTAL


def test_prompts_are_remembered_in_order(ready: Module, server) -> None:
    ready.connect(server.url)
    for prompt in ("the liver", "the spleen", "the liver"):
        ready.logic.run = None
        ready.ui.promptCombo.setEditText(prompt)
        ready.ui.runButton.click()
    combo = ready.ui.promptCombo
    assert [combo.itemText(n) for n in range(combo.count)] == ["the liver", "the spleen"]


def test_a_refused_run_says_why(ready: Module, server) -> None:
    server.on("HEAD", "/ibisagent/images/x", send_json({}))
    ready.connect(server.url)
    ready.ui.runButton.click()
    assert ready.ui.cancelButton.enabled
    ready.wait(lambda: not ready.logic.busy)
    assert shown(ready.ui.statusLabel)
    assert ready.ui.runButton.enabled


# The agent at work


def test_steps_are_listed_as_they_come(ready: Module) -> None:
    run = ready.tell(three_steps(Teller(ready.parameters.inputVolume), 7))
    assert [row[:4] for row in rows(ready)] == [
        ["1", "7", "Something bright lies here.", "belongs"],
        ["2", "7", "This is beyond its rim.", "does not"],
        ["3", "7", "The mask fits.", "done"],
    ]
    assert [row[4] for row in rows(ready)] == ["0.80", "0.80", ""]
    assert [row[5] for row in rows(ready)] == ["agent"] * 3
    assert ready.ui.stepsTable.currentRow() == 2
    assert ready.ui.answerLabel.text == "<b>It is marked.</b>"
    assert ready.ui.statusLabel.text.startswith("Finished after")
    assert run.display.timeline.length == 3


def test_a_row_leads_to_its_slice_and_moment(ready: Module) -> None:
    from IBISAgentLib import views

    volume = ready.parameters.inputVolume
    teller = Teller(volume)
    mask = disc(teller.shape(), 20, 20, 6)
    events = [teller.started(scope="volume")]
    for index in (4, 9):
        events += [teller.slice(index), teller.step(index, "positive", mask, (20, 20))]
    run = ready.tell(events, rest=False)
    assert views.view_of("axial").GetSliceOffset() == pytest.approx(100 + 4 * 9, abs=0.5)
    ready.ui.stepsTable.setCurrentCell(0, 2)
    assert views.view_of("axial").GetSliceOffset() == pytest.approx(100 + 4 * 4, abs=0.5)
    assert run.display.timeline.selected == 0
    assert not ready.ui.followCheck.checked
    ready.tell([teller.step(9, "positive", mask, (22, 20))])
    assert run.display.timeline.selected == 0, "whoever looks at a moment is left there"
    ready.ui.stepsTable.setCurrentCell(2, 2)
    assert ready.ui.followCheck.checked


def test_a_new_run_is_followed_again_unless_told_otherwise(ready: Module, server) -> None:
    ready.connect(server.url)
    ready.tell(three_steps(Teller(ready.parameters.inputVolume), 7))
    ready.ui.stepsTable.setCurrentCell(0, 2)
    assert not ready.ui.followCheck.checked
    ready.ui.runButton.click()
    assert ready.ui.followCheck.checked
    ready.wait(lambda: not ready.logic.busy)
    ready.ui.followCheck.setChecked(False)
    ready.tell(three_steps(Teller(ready.parameters.inputVolume), 7))
    ready.ui.stepsTable.setCurrentCell(2, 2)
    assert not ready.ui.followCheck.checked, "the user's own choice stays"


def test_the_stock_browser_moves_the_table(ready: Module) -> None:
    run = ready.tell(three_steps(Teller(ready.parameters.inputVolume), 7))
    run.display.timeline.browser.SetSelectedItemNumber(0)
    assert ready.ui.stepsTable.currentRow() == 0
    assert ready.ui.playWidget._real.node.GetID() == run.display.timeline.browser.GetID()


def test_a_step_taken_back_is_struck_out(ready: Module) -> None:
    teller = Teller(ready.parameters.inputVolume)
    events = three_steps(teller, 7)[:4]
    ready.tell([*events, teller.undo(7, np.zeros(teller.shape(7), bool))])
    assert rows(ready)[2][3] == "taken back"
    assert ready.ui.stepsTable.item(1, 0).font().strikeOut()
    assert not ready.ui.stepsTable.item(0, 0).font().strikeOut()


def test_an_absent_target_is_said_and_leaves_no_segment(ready: Module) -> None:
    teller = Teller(ready.parameters.inputVolume)
    blank = np.zeros(teller.shape(7), bool)
    ready.tell(
        [
            teller.started(),
            teller.slice(7),
            teller.step(7, "terminate", blank, thought="I see no spleen here."),
            teller.done(7, blank),
            teller.finished("There is no spleen on this slice.", found=False),
        ]
    )
    assert "There is no spleen on this slice." in ready.ui.answerLabel.text
    assert "no segment was made" in ready.ui.answerLabel.text
    assert not ready.ui.acceptButton.enabled
    names = {node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")}
    assert names == {"IBISAgent mask"}


def test_words_of_the_server_are_shown_as_they_are(ready: Module) -> None:
    teller = Teller(ready.parameters.inputVolume)
    events = three_steps(teller, 7)[:-1]
    ready.tell([*events, teller.finished("<img src=x> & more")])
    assert "&lt;img src=x&gt; &amp; more" in ready.ui.answerLabel.text


def test_a_failure_is_said_with_its_fix(ready: Module) -> None:
    from IBISAgentLib.protocol import Failed

    teller = Teller(ready.parameters.inputVolume)
    ready.tell([teller.started(), Failed(2, "", "oom", "Memory ran out.", "Close something.")])
    assert ready.ui.statusLabel.text == "Memory ran out. Close something."
    assert ready.ui.runButton.enabled


def test_a_refused_command_leaves_the_run_as_it_was(ready: Module) -> None:
    from IBISAgentLib.errors import ServerRefused

    run = ready.tell(three_steps(Teller(ready.parameters.inputVolume), 7))
    run.works()
    ready.logic._take(Refused(3, "undo", ServerRefused("no", "No step.", "Click.", 409)))
    assert ready.ui.statusLabel.text == "No step. Click."
    assert not ready.logic.busy
    assert ready.ui.acceptButton.enabled


# The result


def test_accepting_makes_segmentation_and_segment(ready: Module) -> None:
    run = ready.tell(three_steps(Teller(ready.parameters.inputVolume), 7))
    combo = ready.ui.segmentCombo
    assert combo.itemText(0) == "New segment: the ball"
    ready.ui.acceptButton.click()
    node = ready.ui.segmentationSelector.currentNode()
    assert node.GetName() == "phantom segmentation"
    parts = node.GetSegmentation()
    assert [parts.GetSegment(one).GetName() for one in parts.GetSegmentIDs()] == ["the ball"]
    assert ready.ui.statusLabel.text.startswith("Accepted after")
    assert not run.display.timeline.masks.GetDisplayNode().GetVisibility()
    ready.ui.acceptButton.click()
    assert parts.GetNumberOfSegments() == 1, "accepted again, it is the same segment"


def test_accepting_into_an_existing_segment(ready: Module) -> None:
    from IBISAgentLib import acceptance

    volume = ready.parameters.inputVolume
    node = acceptance.segmentation_for(volume)
    segment = acceptance.segment_for(node, "mine")
    ready.ui.segmentationSelector.setCurrentNode(node)
    combo = ready.ui.segmentCombo
    assert [combo.itemText(n) for n in range(combo.count)] == ["New segment: the ball", "mine"]
    combo.setCurrentIndex(1)
    combo._real.activated.emit(1)
    assert ready.parameters.segmentId == segment
    ready.tell(three_steps(Teller(volume), 7))
    ready.ui.acceptButton.click()
    assert node.GetSegmentation().GetNumberOfSegments() == 1
    held = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, volume)
    assert held[7].any()


# Keys, life, looks


def test_keys_work_only_in_the_module(ready: Module) -> None:
    keys = ready.widget.panel._shortcuts
    assert all(key.enabled for key in keys)
    assert {key.key.toString() for key in keys} == {"P", "N", "U"}
    ready.widget.exit()
    assert not any(key.enabled for key in keys)


def test_one_button_is_down_at_a_time(ready: Module) -> None:
    ui, panel = ready.ui, ready.widget.panel
    ui.positiveButton.click()
    assert panel.take_over.positive is True
    ui.negativeButton.click()
    assert (ui.positiveButton.checked, ui.negativeButton.checked) == (False, True)
    assert panel.take_over.positive is False
    ui.negativeButton.click()
    assert not panel.take_over.on
    assert slicer.mrmlScene.GetFirstNodeByName("IBISAgent your click") is None


def test_closing_the_scene_lets_go_of_the_run(ready: Module) -> None:
    ready.tell(three_steps(Teller(ready.parameters.inputVolume), 7))
    slicer.mrmlScene.Clear(False)
    assert ready.logic.run is None
    assert rows(ready) == []
    assert not ready.ui.acceptButton.enabled
    ready.show(phantom(), "next")
    ready.widget.enter()
    assert ready.parameters.inputVolume.GetName() == "next"


def test_settings_and_run_are_saved_with_the_scene(ready: Module, tmp_path: Path) -> None:
    ready.tell(three_steps(Teller(ready.parameters.inputVolume), 7))
    ready.ui.maxStepsSpin.value = 17
    ready.ui.planeCombo.currentIndex = 1
    bundle = str(tmp_path / "saved.mrb")
    assert slicer.mrmlScene.WriteToMRB(bundle)
    slicer.mrmlScene.Clear(False)
    ready.ui.maxStepsSpin.value = 4
    assert slicer.mrmlScene.ReadFromMRB(bundle)
    assert ready.parameters.maxSteps == 17
    assert ready.ui.maxStepsSpin.value == 17
    assert ready.parameters.plane is Plane.CORONAL
    assert ready.ui.promptCombo.currentText == "the ball"
    assert len(rows(ready)) == 3
    assert ready.logic.run is not None


def test_panel_can_be_looked_at(ready: Module, tmp_path: Path) -> None:
    ready.tell(three_steps(Teller(ready.parameters.inputVolume), 7))
    folder = Path(os.environ.get("IBISAGENT_PICTURES", tmp_path))
    picture = ready.picture(folder / "panel.png")
    from PIL import Image

    width, height = Image.open(picture).size
    assert width == 440
    assert 600 < height < 1100, "it fits a screen"


def test_opening_twice_is_no_trouble(tmp_path: Path) -> None:
    for _ in range(2):
        with open_module(tmp_path) as opened:
            opened.show(phantom(), "phantom")
            opened.widget.enter()
            assert opened.ui.inputSelector.currentNode() is not None
