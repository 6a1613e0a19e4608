from __future__ import annotations

import time

import numpy as np
import pytest
from harness.tiny_checkpoint import write_checkpoint
from monailabel.utils.async_tasks import utils as async_tasks
from training_studies import accept, accepted, disc_info

from ibisagent.errors import InvalidRequest, MissingPackage
from ibisagent.prompts import PROFILE_FILE, load_profile
from ibisagent_app.configuration import Configuration
from ibisagent_app.training import desk as desk_module
from ibisagent_app.training.desk import TrainingDesk
from ibisagent_app.training.progress import Reporter
from ibisagent_app.training.refusals import (
    LabelMisfit,
    NothingToRollBack,
    NoTrainingRuns,
    NotTrainable,
    OneSubjectOnly,
    TooFewStudies,
    TrainingRunning,
    UnnamedLabel,
)
from ibisagent_app.training.studies import NEEDED

STAGES = ("studies", "simulate", "before", "sft", "after")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = write_checkpoint(tmp_path_factory.mktemp("checkpoint"))
    (folder / PROFILE_FILE).write_text(load_profile().model_dump_json())
    return folder


@pytest.fixture
def desk(tmp_path, checkpoint):
    return TrainingDesk(tmp_path / "app", Configuration(policy=str(checkpoint), device="cpu"))


@pytest.fixture
def store(tmp_path):
    return accepted(tmp_path / "studies", tmp_path, count=NEEDED, more=1)


@pytest.fixture
def started(monkeypatch):
    """A trainer that this server has started."""
    task = {"id": "1", "status": "RUNNING", "request": {"model": "ibisagent_sft"}}
    monkeypatch.setitem(async_tasks.background_tasks, "train", [task])
    return task


def release(desk, checkpoint, number=1):
    for _ in range(number):
        desk.releases.release(checkpoint, "a card", {})


def test_what_may_begin_is_planned_and_nothing_is_touched(desk, store, checkpoint):
    plan = desk.plan("ibisagent_sft", {"max_steps": "7", "model": "ibisagent_sft"}, store)

    assert (plan.options.max_steps, plan.start) == (7, str(checkpoint))
    assert len(plan.studies) == NEEDED
    assert len(plan.sides.held_back) >= 2
    assert not desk.workplace.model.exists()


def test_training_goes_on_from_the_released_model(desk, store, checkpoint):
    release(desk, checkpoint)

    assert desk.plan("ibisagent", {}, store).start == str(desk.releases.current())


def test_too_few_studies_are_refused(desk, tmp_path):
    few = accepted(tmp_path / "few", tmp_path, count=NEEDED - 1, more=3)

    with pytest.raises(TooFewStudies):
        desk.plan("ibisagent", {}, few)
    assert not desk.workplace.model.exists()


def test_one_subject_only_is_refused(desk, store):
    for name in store.list_images():
        store.update_image_info(name, {"PatientID": "ann"})

    with pytest.raises(OneSubjectOnly):
        desk.plan("ibisagent", {}, store)


def test_a_label_without_a_name_is_refused(desk, store, tmp_path):
    accept(store, tmp_path, "study0", np.ones((56, 56), np.uint8), {})

    with pytest.raises(UnnamedLabel, match="study0"):
        desk.plan("ibisagent", {}, store)


def test_a_label_of_another_grid_is_refused(desk, store, tmp_path):
    accept(store, tmp_path, "study0", np.ones((5, 6), np.uint8), disc_info())

    with pytest.raises(LabelMisfit, match="study0"):
        desk.plan("ibisagent", {}, store)


def test_an_unknown_option_is_refused(desk, store):
    with pytest.raises(InvalidRequest, match="epochs"):
        desk.plan("ibisagent", {"epochs": 3}, store)


def test_a_policy_on_another_server_cannot_be_trained(tmp_path, store):
    policy = "endpoint:http" + "://127.0.0.1:9/v1#ibis"
    desk = TrainingDesk(tmp_path / "app", Configuration(policy=policy, device="cpu"))

    with pytest.raises(NotTrainable, match="another server"):
        desk.plan("ibisagent", {}, store)


def test_a_missing_package_is_named(desk, store, monkeypatch):
    monkeypatch.setattr(desk_module, "_PACKAGES", ("no_such_package",))

    with pytest.raises(MissingPackage, match="no_such_package"):
        desk.plan("ibisagent", {}, store)


def test_two_trainings_at_once_are_refused(desk, started):
    with pytest.raises(TrainingRunning):
        desk.check_idle()
    started["status"] = "DONE"
    desk.check_idle()


def test_a_training_of_another_server_counts_too(desk):
    Reporter(desk.workplace, "ibisagent", STAGES)  # this process, which lives

    with pytest.raises(TrainingRunning):
        desk.check_idle()


def test_two_trainers_do_not_work_in_one_folder(desk):
    lock = desk.lock()
    try:
        with pytest.raises(TrainingRunning):
            TrainingDesk(desk.workplace.model.parent, desk.configuration).lock()
    finally:
        lock.release()


def test_before_any_training(desk, store):
    report = desk.report(store)

    assert report["format"] == "ibisagent-training/1"
    assert (report["running"], report["task"], report["stage"]) == (False, None, "")
    assert report["studies"] == {"final": NEEDED, "needed": NEEDED, "held_back": 2}
    assert report["model"]["version"] == ""
    assert report["curve"] == []
    assert desk.stats() == {"epoch": 0, "total_epochs": 100, "best_metric": 0.0, "total_time": 0}


def test_a_training_that_was_just_started(desk, store, started):
    report = desk.report(store)

    assert (report["running"], report["task"]) == (True, "ibisagent_sft")
    assert report["stage"] == "starting"


def test_a_training_that_goes_on(desk, store, started):
    reporter = Reporter(desk.workplace, "ibisagent_sft", STAGES)
    reporter.begin("sft")
    reporter.figures(before={"dice": 0.5})
    reporter.step(5, 10, {"loss": 0.5})
    reporter.begin("after")

    report = desk.report(store)

    assert (report["running"], report["stage"], report["released"]) == (True, "after", False)
    assert report["curve"] == [{"stage": "sft", "step": 5, "loss": 0.5}]
    assert report["seconds_left"] is not None
    stats = desk.stats()
    assert 0 < stats["epoch"] < 100
    assert (stats["best_metric"], stats["total_time"]) == (0.5, 0)


def test_a_training_that_was_killed(desk, store):
    reporter = Reporter(desk.workplace, "ibisagent_sft", STAGES)
    reporter.begin("sft")
    reporter.status.process_started = 1.0  # as of a process that is gone
    reporter.step(10, 10)

    report = desk.report(store)

    assert (report["running"], report["stage"]) == (False, "interrupted")
    assert "step 10 of 10" in report["reason"]
    desk.check_idle()


def test_a_trainer_that_ended_before_it_could_say_anything(desk, store, started):
    started |= {"status": "ERROR", "start_ts": "2026-01-01 10:00:00"}

    report = desk.report(store)

    assert (report["running"], report["stage"]) == (False, "failed")
    assert (report["task"], "before it could begin" in report["reason"]) == ("ibisagent_sft", True)

    Reporter(desk.workplace, "ibisagent", STAGES).end("failed", "The disk is full.")
    assert desk.report(store)["reason"] == "The disk is full."


def test_what_an_earlier_training_left_is_not_shown_of_a_new_one(desk, store, started):
    Reporter(desk.workplace, "ibisagent", STAGES).end("done", "Released.", released=True)

    report = desk.report(store)

    assert (report["stage"], report["released"]) == ("starting", False)


def test_what_came_of_the_last_training(desk, store):
    reporter = Reporter(desk.workplace, "ibisagent", STAGES)
    reporter.end("done", "Released.", released=True)

    report = desk.report(store)

    assert (report["running"], report["released"], report["reason"]) == (False, True, "Released.")
    assert desk.stats()["total_time"] == reporter.status.seconds


def test_stats_are_cheap(desk):
    reporter = Reporter(desk.workplace, "ibisagent", STAGES)
    for step in range(2000):
        reporter.step(step, 2000, {"loss": 1.0})
    desk.stats()

    began = time.perf_counter()
    for _ in range(100):
        desk.stats()
    assert time.perf_counter() - began < 0.1


def test_stopping_needs_a_training(desk, started):
    desk.stop()
    assert desk.workplace.stop_wanted

    started["status"] = "DONE"
    with pytest.raises(NoTrainingRuns):
        desk.stop()


def test_roll_back_to_the_version_before_and_to_the_configured_policy(desk, checkpoint):
    release(desk, checkpoint, number=2)

    assert desk.rollback() == "0001"
    assert desk.rollback() == ""
    assert desk.releases.current() is None
    with pytest.raises(NothingToRollBack):
        desk.rollback()
