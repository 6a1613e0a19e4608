"""A run's events go into the scene as text and come back the same."""

from __future__ import annotations

from harness.slicer_panel import slicer
from harness.slicer_story import Teller, phantom, three_steps, volume_node

from IBISAgentLib import run_record


def test_events_come_back_the_same(application) -> None:
    teller = Teller(volume_node(slicer, phantom()))
    events = [*three_steps(teller, 7), teller.progress(1, 2, None)]
    node = run_record.write(None, events)
    assert run_record.read(node) == events
    assert run_record.write(node, events[:2]) is node
    assert len(run_record.read(node)) == 2


def test_nothing_makes_no_node(application) -> None:
    assert run_record.write(None, []) is None
    assert run_record.read(None) == []


def test_a_record_of_another_version_is_passed_over(application) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    node.SetText('{"event": "started", "seq": 1, "format": "ibisagent-events/9"}')
    assert run_record.read(node) == []
    node.SetText("no JSON")
    assert run_record.read(node) == []
