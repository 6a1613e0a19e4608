"""Whole trainings in this process: real trainers on an untrained checkpoint, a quick tool."""

from __future__ import annotations

import json

import pytest
from harness.fake_tool import DiscTool
from harness.tiny_checkpoint import write_checkpoint
from training_studies import accepted

import ibisagent.agent
import ibistrain.rl
import ibistrain.simulation.run
from ibisagent.errors import InvalidRequest, OutputNotWritable
from ibisagent.prompts import PROFILE_FILE, load_profile
from ibisagent_app.configuration import Configuration
from ibisagent_app.training import pipeline
from ibisagent_app.training.desk import TrainingDesk
from ibisagent_app.training.options import BOTH, SFT
from ibisagent_app.training.pipeline import train
from ibisagent_app.training.refusals import TooFewStudies, TrainingRunning

OPTIONS = {"max_steps": 2, "batch_size": 2, "episodes": 4, "max_questions": 4}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = write_checkpoint(tmp_path_factory.mktemp("checkpoint"), tokens=4)
    (folder / PROFILE_FILE).write_text(load_profile().model_dump_json())
    return folder


@pytest.fixture
def desk(tmp_path, checkpoint, monkeypatch):
    for module in (ibisagent.agent, ibistrain.rl, ibistrain.simulation.run):
        monkeypatch.setattr(module, "load_tool", lambda spec="", device="": DiscTool())
    policy = f"{checkpoint}?max_pixels=40000"
    configuration = Configuration(policy=policy, device="cpu", max_steps=2)
    return TrainingDesk(tmp_path / "app", configuration)


@pytest.fixture
def store(tmp_path):
    return accepted(tmp_path / "studies", tmp_path, count=4)


def test_a_model_that_is_no_better_is_not_released(desk, store, capsys, monkeypatch):
    judged = []

    def watched(policy, *others):
        judged.append(policy)
        return ibisagent.agent.load_agent(policy, *others)

    monkeypatch.setattr(pipeline, "load_agent", watched)
    status = train(desk, SFT, {**OPTIONS, "model": SFT}, store)

    assert (status["stage"], status["released"]) == ("done", False)
    assert status["reason"].startswith("Not released.")
    assert desk.releases.current() is None
    assert not desk.workplace.run.exists()
    for side in ("before", "after"):
        results = json.loads((desk.workplace.results / side / "results.json").read_text())
        assert results["n"] >= 2
    assert [policy.partition("?")[2] for policy in judged] == ["max_pixels=40000"] * 2
    lines = capsys.readouterr().out.splitlines()
    stages = [json.loads(line)["stage"] for line in lines if line.startswith('{"task"')]
    order = list(dict.fromkeys(stages))
    assert order == ["studies", "simulate", "before", "sft", "after", "done"]
    assert [point["step"] for point in desk.report(store)["curve"]] == [1, 2]


@pytest.mark.slow
def test_both_stages_follow_each_other(desk, store):
    status = train(desk, BOTH, {**OPTIONS, "rl_steps": 1, "model": BOTH}, store)

    assert status["stage"] == "done"
    curve = desk.report(store)["curve"]
    assert {point["stage"] for point in curve} == {"sft", "rl"}
    assert any("reward" in point for point in curve)


@pytest.mark.slow
def test_a_better_model_is_released(desk, store, monkeypatch):
    monkeypatch.setattr("ibistrain.comparison.Comparison.objections", lambda *_: [])

    status = train(desk, SFT, {**OPTIONS, "model": SFT}, store)

    assert status["released"]
    assert "version 0001" in status["reason"]
    version = desk.releases.current()
    assert {"model.safetensors", "prompts.yaml", "README.md", "figures.json"} <= {
        path.name for path in version.iterdir()
    }


@pytest.mark.slow
def test_somebody_who_stops_it_is_obeyed_and_it_goes_on_next_time(desk, store):
    desk.workplace.root.mkdir(parents=True)
    desk.workplace.want_stop()

    status = train(desk, SFT, {**OPTIONS, "model": SFT}, store)

    assert status["stage"] == "stopped"
    assert "continues it" in status["reason"]
    assert not desk.workplace.stop_wanted
    assert (desk.workplace.run / "plan.json").is_file()
    assert train(desk, SFT, {**OPTIONS, "model": SFT}, store)["stage"] == "done"


def test_what_may_not_begin_leaves_nothing_behind(desk, tmp_path):
    with pytest.raises(TooFewStudies):
        train(desk, SFT, {"model": SFT}, accepted(tmp_path / "few", tmp_path, 1))

    assert desk.status() is None
    desk.lock().release()


def test_what_cannot_be_learnt_from_is_not_tried_again(desk, store, monkeypatch):
    def nothing(*args, **more):
        raise InvalidRequest("There is nothing to learn.", "Accept more.")

    monkeypatch.setattr("ibistrain.simulation.run.simulate", nothing)
    with pytest.raises(InvalidRequest):
        train(desk, SFT, {**OPTIONS, "model": SFT}, store)

    assert desk.status().stage == "failed"
    assert desk.status().reason.startswith("There is nothing to learn.")
    assert not (desk.workplace.run / "plan.json").exists()


def test_a_full_disk_does_not_cost_what_is_done(desk, store, monkeypatch):
    def full(*args, **more):
        raise OutputNotWritable("The disk is full.", "Free some space.")

    monkeypatch.setattr("ibistrain.simulation.run.simulate", full)
    with pytest.raises(OutputNotWritable):
        train(desk, SFT, {**OPTIONS, "model": SFT}, store)

    assert desk.status().stage == "failed"
    assert (desk.workplace.run / "plan.json").exists()


def test_an_unexpected_failure_is_told(desk, store, monkeypatch):
    monkeypatch.setattr(pipeline, "load_agent", lambda *args: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        train(desk, SFT, {**OPTIONS, "model": SFT}, store)

    assert "ZeroDivisionError" in desk.status().reason
    desk.lock().release()


def test_two_processes_do_not_train_at_once(desk, store):
    lock = desk.lock()
    try:
        with pytest.raises(TrainingRunning):
            train(desk, SFT, {**OPTIONS, "model": SFT}, store)
    finally:
        lock.release()
