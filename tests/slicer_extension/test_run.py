"""A run keeps time, knows whether anything was found, and what can be taken back."""

from __future__ import annotations

import numpy as np
import pytest
from harness.slicer_panel import slicer
from harness.slicer_story import Teller, phantom, three_steps, volume_node

from IBISAgentLib.errors import InvalidMask
from IBISAgentLib.parameter import Parameters, parameter_node
from IBISAgentLib.protocol import SliceRecord, SliceStarted
from IBISAgentLib.run import Run, restored


@pytest.fixture
def volume(application):
    return volume_node(slicer, phantom())


def test_time_is_counted_while_it_works(volume) -> None:
    now = [100.0]
    run = Run(volume, Teller(volume).grid, "axial", clock=lambda: now[0])
    run.works()
    now[0] += 5
    assert run.elapsed == 5
    run.rests()
    now[0] += 60
    assert run.elapsed == 5
    run.works()
    now[0] += 2
    assert run.elapsed == 7


def test_the_estimate_runs_down(volume) -> None:
    now = [0.0]
    teller = Teller(volume)
    run = Run(volume, teller.grid, "axial", clock=lambda: now[0])
    run.works()
    run.take(teller.started(scope="volume"), True)
    run.take(teller.slice(7), True)
    assert run.remaining is None
    run.take(teller.progress(2, 8, 40.0), True)
    now[0] += 15
    assert run.remaining == 25
    assert run.status() == "Slice 7, step 1 (2 of 10 slices done) \N{MIDDLE DOT} 15 s so far " + (
        "\N{MIDDLE DOT} about 25 s left"
    )


def test_sending_is_said(volume) -> None:
    run = Run(volume, Teller(volume).grid, "axial")
    run.works()
    run.sent = (5_000_000, 20_000_000)
    assert run.status() == "Sending the volume: 25 % of 20 MB"


def test_found_says_whether_the_mask_holds_anything(volume) -> None:
    teller = Teller(volume)
    run = Run(volume, teller.grid, "axial")
    assert not run.found
    run.take(teller.started(), True)
    run.take(teller.slice(7), True)
    assert not run.found
    for event in three_steps(teller, 7)[2:]:
        run.take(event, True)
    assert run.found


def test_last_step_passes_over_what_was_taken_back(volume) -> None:
    teller = Teller(volume)
    run = Run(volume, teller.grid, "axial")
    assert run.last_step() is None
    events = three_steps(teller, 7)[:4]
    for event in events:
        run.take(event, True)
    assert run.last_step().kind == "negative"
    run.take(teller.undo(7, np.zeros(teller.shape(7), bool)), True)
    assert run.last_step().kind == "positive"
    run.take(teller.undo(7, np.zeros(teller.shape(7), bool)), True)
    assert run.last_step() is None


def test_a_run_of_another_volume_is_refused(volume) -> None:
    teller = Teller(volume)
    run = Run(volume, teller.grid, "axial")
    blank = teller.slice(7).start
    record = SliceRecord("image", "axial", 7, 10, 10)
    with pytest.raises(InvalidMask):
        run.take(SliceStarted(1, "", record, blank), True)


def test_nothing_is_restored_from_an_empty_scene(application) -> None:
    assert restored(Parameters(parameter_node())) is None


def test_removing_a_run_empties_the_parameters(volume) -> None:
    teller, parameters = Teller(volume), Parameters(parameter_node())
    run = Run(volume, teller.grid, "axial")
    for event in three_steps(teller, 7):
        run.take(event, True)
    run.keep(parameters)
    assert parameters.record is not None
    run.remove(parameters)
    assert parameters.record is None
    assert parameters.browser is None
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTextNode") == 0
