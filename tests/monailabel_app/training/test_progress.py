from __future__ import annotations

import json
import os

import pytest

from ibisagent_app.training.progress import MAX_POINTS, Reporter, read_curve, read_status
from ibisagent_app.training.workplace import Workplace

STAGES = ("studies", "simulate", "before", "sft", "after")


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path / "model")


def test_before_any_training_there_is_nothing(place):
    assert read_status(place) is None
    assert read_curve(place) == []


def test_what_is_told_can_be_read(place):
    reporter = Reporter(place, "ibisagent_sft", STAGES)
    reporter.begin("sft")
    reporter.step(3, 10, {"loss": 0.5, "learning_rate": 1e-4, "grad": float("nan")})
    reporter.step(10, 10, {"loss": 0.25})

    status = read_status(place)

    assert (status.task, status.stage, status.step) == ("ibisagent_sft", "sft", 10)
    assert status.pid == os.getpid()
    assert status.alive()
    assert read_curve(place) == [
        {"stage": "sft", "step": 3, "loss": 0.5, "learning_rate": 0.0001},
        {"stage": "sft", "step": 10, "loss": 0.25},
    ]


def test_per_cents_only_rise_and_end_at_a_hundred(place):
    reporter = Reporter(place, "ibisagent_sft", STAGES)
    seen = []
    for stage in STAGES:
        reporter.begin(stage)
        for step in range(1, 5):
            reporter.step(step, 4)
            seen.append(reporter.status.percent)
    reporter.end("done", "Released.", released=True)

    assert seen == sorted(seen)
    assert read_status(place).percent == 100.0


def test_each_step_is_a_json_line_for_monai_label(place, capsys):
    reporter = Reporter(place, "ibisagent", STAGES)
    reporter.begin("simulate")
    reporter.step(1, 2)
    reporter.step(2, 2, {"loss": 0.5})
    reporter.end("failed", "No.")

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert [line["step"] for line in lines] == [0, 1, 2, 2]
    assert lines[2]["loss"] == 0.5
    assert lines[3]["reason"] == "No."


def test_a_process_that_is_gone_does_not_train(place):
    reporter = Reporter(place, "ibisagent", STAGES)
    assert reporter.status.alive()

    gone = reporter.status.model_copy(update={"process_started": 1.0})
    other = reporter.status.model_copy(update={"pid": 2**22 + 1})

    assert not gone.alive()
    assert not other.alive()


def test_what_ended_does_not_train(place):
    reporter = Reporter(place, "ibisagent", STAGES)
    reporter.end("stopped", "Somebody stopped it.")

    assert not read_status(place).alive()


def test_the_time_left_is_told_once_it_is_known(place):
    reporter = Reporter(place, "ibisagent_sft", STAGES)
    status = reporter.status
    assert status.seconds_left(status.started + 10) is None

    status.percent = 25.0
    assert status.seconds_left(status.started + 10) == 30.0


def test_a_long_curve_is_thinned_out_and_keeps_its_end(place):
    Reporter(place, "ibisagent", STAGES)
    count = 3 * MAX_POINTS + 7
    place.curve.write_text("".join(f'{{"step": {n}, "loss": 1}}\n' for n in range(count)))

    curve = read_curve(place)

    assert MAX_POINTS / 2 < len(curve) <= MAX_POINTS
    assert curve[-1]["step"] == count - 1


def test_steps_that_were_made_again_are_told_once(place):
    Reporter(place, "ibisagent", STAGES)
    steps = [(1, 0.9), (2, 0.8), (3, 0.7), (2, 0.85), (3, 0.75)]
    place.curve.write_text("".join(f'{{"step": {n}, "loss": {loss}}}\n' for n, loss in steps))

    assert [point["loss"] for point in read_curve(place)] == [0.9, 0.85, 0.75]


def test_a_training_that_begins_forgets_the_curve_before(place):
    reporter = Reporter(place, "ibisagent", STAGES)
    reporter.begin("sft")
    reporter.step(1, 2, {"loss": 1.0})
    Reporter(place, "ibisagent", STAGES)
    assert read_curve(place)

    reporter.forget_curve()
    assert read_curve(place) == []


def test_where_nobody_reads_any_more_training_goes_on(place, monkeypatch):
    class Broken:
        def write(self, text):
            raise BrokenPipeError

    reporter = Reporter(place, "ibisagent", STAGES)
    monkeypatch.setattr("sys.stdout", Broken())
    reporter.begin("sft")
    monkeypatch.undo()

    assert read_status(place).stage == "sft"


def test_a_half_written_line_is_no_point(place):
    Reporter(place, "ibisagent", STAGES)
    place.curve.write_text('{"step": 1, "loss": 1}\n{"step": 2, "lo')

    assert read_curve(place) == [{"step": 1, "loss": 1}]


def test_a_damaged_status_counts_as_none(place):
    Reporter(place, "ibisagent", STAGES)
    place.status.write_text("{")

    assert read_status(place) is None


def test_figures_are_kept(place):
    reporter = Reporter(place, "ibisagent", STAGES)
    reporter.figures(before={"dice": 0.5}, after={"dice": 0.75})
    reporter.figures(difference={"dice": {"mean": 0.25, "low": 0.125, "high": 0.5}})

    status = read_status(place)

    assert (status.before["dice"], status.after["dice"]) == (0.5, 0.75)
    assert status.difference["dice"]["low"] == 0.125
