"""The whole of it on a real server, in order: refusals, a kill, a stop, a release, a roll-back.

The embedded policy knows no "lantern", the dimmer of two discs, and clicks on the bright one. After
training it knows, without a restart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np
import pytest
import SimpleITK as sitk
from app_client import assert_refused
from training_server import Trainings, write_app

from demo.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SIZE = 56
NAME = "lantern"
ACCEPTED, MORE = 6, 2
OPTIONS = {
    "max_steps": 80, "batch_size": 4, "learning_rate": 1e-3, "episodes": 40, "max_questions": 8,
}  # fmt: skip


def disc(row=40, column=15, radius=13):
    rows, columns = np.ogrid[:SIZE, :SIZE]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def write_study(folder, number):
    noise = np.random.default_rng(number).integers(0, 100, (SIZE, SIZE))
    picture = np.where(disc(), 160, np.where(disc(17, 39, 14), 250, noise)).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(picture), str(folder / f"study{number}.png"))


@pytest.fixture(scope="module")
def trainings(tmp_path_factory) -> Iterator[Trainings]:
    folder = tmp_path_factory.mktemp("training")
    studies = folder / "studies"
    studies.mkdir()
    for number in range(ACCEPTED + MORE):
        write_study(studies, number)
    app = write_app(folder / "app")
    conf = {"device": "cpu", "max_steps": "3"}
    with Server(studies, folder / "log.txt", app, conf) as server:
        yield Trainings(server, app, studies)


def submit(trainings, tmp_path, number, name=NAME):
    """As the stock client submits a label."""
    label = tmp_path / f"label{number}.png"
    sitk.WriteImage(sitk.GetImageFromArray(disc().astype(np.uint8)), str(label))
    info = {"label_info": [{"name": name, "idx": 1}]}
    with label.open("rb") as file:
        answer = trainings.call(
            "PUT",
            "/datastore/label",
            params={"image": f"study{number}", "tag": "final"},
            files={"label": (label.name, file), "params": (None, json.dumps(info))},
        )
    assert answer.status_code == 200, answer.text


def test_before_anything_was_accepted(trainings):
    report = trainings.report()

    assert (report["running"], report["stage"]) == (False, "")
    assert report["studies"] == {"final": 0, "needed": 4, "held_back": 0}
    assert report["model"] == {"version": "", "policy": "embedded"}
    assert_refused(trainings.start("ibisagent_sft"), 409, "too_few_studies", "4")
    assert_refused(trainings.start("ibisagent_sft", epochs=3), 422, "invalid_request", "epochs")
    assert_refused(trainings.start("ibisagent_sft", bundle_path="x"), 422, "invalid_request")
    assert_refused(trainings.start("nnunet"), 404, "unknown_task", "ibisagent_rl")
    stop = trainings.call("POST", "/ibisagent/training/stop")
    assert_refused(stop, 409, "no_training_runs")
    rollback = trainings.call("POST", "/ibisagent/training/rollback")
    assert_refused(rollback, 409, "nothing_to_roll_back")
    assert not (trainings.app / "model" / "training").exists()


def test_the_stock_client_finds_what_it_shows(trainings):
    info = trainings.call("GET", "/info/").json()

    assert next(iter(info["trainers"])) == "ibisagent"
    assert set(info["trainers"]) == {"ibisagent", "ibisagent_sft", "ibisagent_rl"}
    assert info["trainers"]["ibisagent_sft"]["config"]["max_steps"] == 300
    assert set(info["strategies"]) == {"ibisagent_uncertainty", "random"}
    assert set(info["scoring"]) == {"ibisagent_dice"}
    for stats in info["train_stats"].values():
        assert set(stats) == {"epoch", "total_epochs", "best_metric", "total_time"}


def test_a_label_without_a_name_is_refused_until_it_has_one(trainings, tmp_path):
    for number in range(ACCEPTED):
        submit(trainings, tmp_path, number, name="Segment_1" if number == 2 else NAME)
    assert_refused(trainings.start("ibisagent_sft"), 409, "unnamed_label", "study2")

    submit(trainings, tmp_path, 2)

    assert trainings.report()["studies"]["final"] == ACCEPTED
    assert_refused(trainings.infer(f"the {NAME}", "study0"), 422, "unknown_prompt")


def test_a_killed_training_leaves_the_old_model_in_use(trainings):
    started = trainings.start("ibisagent_sft", **OPTIONS)
    assert started.status_code == 200, started.text
    assert trainings.report()["running"]
    assert_refused(trainings.start("ibisagent_rl"), 409, "training_running")

    trainings.wait(lambda report: report["stage"] == "sft" and report["step"] >= 12)
    began = time.monotonic()
    assert trainings.call("GET", "/ibisagent/training").status_code == 200
    assert time.monotonic() - began < 2
    lines = trainings.call("GET", "/train/").json()["details"]
    assert any(json.loads(line)["stage"] == "sft" for line in lines if line.startswith('{"task'))
    stats = trainings.call("GET", "/info/").json()["train_stats"]["ibisagent"]
    assert 0 < stats["epoch"] < 100
    assert not stats["total_time"]

    assert trainings.call("DELETE", "/train/").status_code == 200
    report = trainings.wait_for_end()
    assert (report["stage"], report["released"]) == ("interrupted", False)
    assert report["model"]["version"] == ""
    assert list((trainings.app / "model" / "training" / "run" / "sft").glob("checkpoint-*"))
    assert_refused(trainings.infer(f"the {NAME}", "study0"), 422, "unknown_prompt")


def test_a_stopped_training_has_gone_on_from_its_checkpoint(trainings):
    started = trainings.start("ibisagent_sft", **OPTIONS)
    assert started.status_code == 200, started.text
    report = trainings.wait(lambda report: report["stage"] == "sft" and report["step"] >= 1)
    assert report["step"] > 8, "it began anew"
    assert report["curve"][0]["step"] == 1

    assert trainings.call("POST", "/ibisagent/training/stop").status_code == 200
    report = trainings.wait_for_end()

    assert (report["stage"], report["released"]) == ("stopped", False)
    assert report["model"]["version"] == ""


def test_a_better_model_is_in_use_without_a_restart(trainings):
    started = trainings.start("ibisagent_sft", **OPTIONS)
    assert started.status_code == 200, started.text
    report = trainings.wait_for_end()

    assert (report["stage"], report["released"]) == ("done", True), report["reason"]
    assert report["after"]["dice"] > report["before"]["dice"]
    assert report["difference"]["dice"]["low"] > 0
    assert report["model"]["version"] == "0001"
    assert trainings.call("GET", "/train/").json()["status"] == "DONE"
    stats = trainings.call("GET", "/info/").json()["train_stats"]["ibisagent"]
    assert stats["epoch"] == stats["total_epochs"] == 100
    assert stats["best_metric"] == pytest.approx(report["after"]["dice"])
    assert stats["total_time"] > 0

    answer = trainings.infer(f"the {NAME}", f"study{ACCEPTED}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["found"]
    card = trainings.app / "model" / "versions" / "0001" / "README.md"
    assert NAME in card.read_text(encoding="utf-8")
    assert not (trainings.app / "model" / "training" / "run").exists()


def test_the_strategy_answers_while_the_server_goes_on(trainings):
    answer = trainings.call(
        "POST", "/activelearning/ibisagent_uncertainty", json={"seconds": 60, "client_id": "me"}
    )

    assert answer.status_code == 200, answer.text
    chosen = answer.json()
    assert chosen["id"] in {f"study{ACCEPTED + number}" for number in range(MORE)}
    assert "least sure" in chosen["reason"]
    unknown = trainings.call("POST", "/activelearning/oracle", json={})
    assert_refused(unknown, 404, "unknown_task", "random")
    stray = trainings.call("POST", "/activelearning/random", json={"strategy": "x"})
    assert_refused(stray, 422, "invalid_request")


def test_scores_are_kept_with_the_images(trainings):
    assert trainings.call("POST", "/scoring/ibisagent_dice", json={}).status_code == 200

    end = time.monotonic() + 900
    while trainings.call("GET", "/scoring/").json()["status"] in ("SUBMITTED", "RUNNING"):
        assert time.monotonic() < end
        time.sleep(1)
    info = trainings.call("GET", "/datastore/image/info", params={"image": "study0"}).json()

    assert trainings.call("GET", "/scoring/").json()["status"] == "DONE"
    assert info["dice"] == info["ibisagent_dice"]["dice"] > 0.5
    assert set(info["ibisagent_dice"]) == {
        "dice", "nsd", "clicks", "questions", "held_back", "of",
    }  # fmt: skip


def test_the_model_before_can_be_taken_back(trainings):
    answer = trainings.call("POST", "/ibisagent/training/rollback")

    assert answer.status_code == 200, answer.text
    assert answer.json()["model"]["version"] == ""
    assert_refused(trainings.infer(f"the {NAME}", "study0"), 422, "unknown_prompt")
