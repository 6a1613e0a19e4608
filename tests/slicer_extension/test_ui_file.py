"""The .ui file is what Slicer's loader wants."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from harness.slicer_panel import MODULE_FOLDER
from harness.slicer_widgets import CTK_WIDGETS, SLICER_WIDGETS


@pytest.fixture(scope="module")
def tree() -> ElementTree.Element:
    return ElementTree.parse(MODULE_FOLDER / "Resources" / "UI" / "IBISAgent.ui").getroot()


def test_every_widget_of_slicer_gets_the_scene(tree: ElementTree.Element) -> None:
    connected = {connection.findtext("receiver") for connection in tree.iter("connection")}
    wanted = {
        widget.get("name")
        for widget in tree.iter("widget")
        if widget.get("class", "").startswith("qMRML") and widget.get("name") != "IBISAgent"
    }
    assert wanted
    assert connected == wanted


def test_every_class_that_is_not_qts_is_declared(tree: ElementTree.Element) -> None:
    declared = {widget.findtext("class") for widget in tree.iter("customwidget")}
    used = {widget.get("class") for widget in tree.iter("widget")}
    assert {name for name in used if name[0] != "Q"} == declared
    assert declared == {kind.__name__ for kind in (*SLICER_WIDGETS, *CTK_WIDGETS)}


def test_names_are_unique(tree: ElementTree.Element) -> None:
    names = [widget.get("name") for widget in tree.iter("widget")]
    assert len(names) == len(set(names))


def test_every_button_says_what_it_does(tree: ElementTree.Element) -> None:
    silent = [
        widget.get("name")
        for widget in tree.iter("widget")
        if widget.get("class") in ("QPushButton", "QToolButton")
        and widget.find("property[@name='toolTip']") is None
    ]
    assert silent == ["runButton", "acceptButton"], "their tool tips say why they are off"
