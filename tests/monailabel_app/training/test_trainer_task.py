from __future__ import annotations

import json

import pytest

from ibisagent_app.configuration import Configuration
from ibisagent_app.training.desk import TrainingDesk
from ibisagent_app.training.options import BOTH, STAGES, parse_options
from ibisagent_app.training.progress import Reporter
from ibisagent_app.training.trainer_task import TrainerTask


@pytest.fixture
def desk(tmp_path):
    return TrainingDesk(tmp_path / "app", Configuration(device="cpu"))


@pytest.mark.parametrize("name", STAGES)
def test_what_clients_are_shown_is_plain_json_and_can_be_sent_back(desk, name):
    info = TrainerTask(desk, name).info()

    assert json.loads(json.dumps(info)) == info
    assert info["description"]
    parse_options(name, info["config"])


def test_every_trainer_tells_how_the_running_one_goes(desk):
    reporter = Reporter(desk.workplace, "ibisagent_rl", ("studies", "simulate", "rl"))
    reporter.begin("rl")
    reporter.step(1, 2)

    stats = [TrainerTask(desk, name).stats() for name in STAGES]

    assert set(stats[0]) == {"epoch", "total_epochs", "best_metric", "total_time"}
    assert 0 < stats[0]["epoch"] < stats[0]["total_epochs"]
    assert stats[0] == stats[1] == stats[2]


def test_the_trainer_that_the_stock_client_looks_at_comes_first():
    assert next(iter(STAGES)) == BOTH
