from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
from training_studies import accept, accepted, disc_info

from ibisagent.agent import Agent
from ibisagent_app.training.scoring import SCORES, DiceScoring
from ibisagent_app.training.workplace import Workplace


class BrightPolicy:
    """Clicks on the brightest pixel, and is then content."""

    name = "bright"

    def __init__(self):
        self.calls = 0

    def replies(self, observations, cancelled=lambda: False):
        self.calls += len(observations)
        return [self._reply(seen) for seen in observations]

    def _reply(self, seen):
        if seen.step:
            return "<think>.</think><action>Terminate</action><answer>Marked.</answer>"
        grey = seen.pictures[-1].sum(axis=2)
        row, column = np.unravel_index(int(grey.argmax()), grey.shape)
        x, y = (column + 0.5) / grey.shape[1], (row + 0.5) / grey.shape[0]
        return f"<think>.</think><action>Positive Point ({x:.4f}, {y:.4f})</action>"


class Lent:
    def __init__(self, agent):
        self.agent = agent

    @contextmanager
    def use(self):
        yield self.agent


@pytest.fixture
def policy():
    return BrightPolicy()


@pytest.fixture
def scoring(obedient_agent, policy, tmp_path):
    agent = Agent(policy, obedient_agent.tool, obedient_agent.profile)
    return DiceScoring(Lent(agent), Workplace(tmp_path / "model"))


def test_accepted_labels_are_scored_and_the_scores_kept(scoring, tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=2, more=1)

    found = scoring({}, store)

    assert set(found) == {"study0", "study1"}
    info = store.get_image_info("study0")
    assert info["dice"] == info[SCORES]["dice"] == found["study0"]["dice"]
    assert info[SCORES]["questions"] == 1
    assert info[SCORES]["clicks"] == 1
    assert 0.2 < info["dice"] <= 1
    assert 0 <= info[SCORES]["nsd"] <= 1
    assert SCORES not in store.get_image_info("study2")


def test_scores_are_made_again_only_where_label_or_model_changed(scoring, policy, tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=2)
    scoring({}, store)
    first = policy.calls
    scoring({}, store)
    assert policy.calls == first

    half = np.zeros((56, 56), np.uint8)
    half[:30] = 1
    accept(store, tmp_path, "study0", half, disc_info())
    scoring({}, store)
    assert policy.calls == first * 3 // 2

    policy.name = "another"
    scoring({}, store)
    assert policy.calls == first * 5 // 2


def test_without_accepted_labels_there_is_nothing_to_do(scoring, policy, tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=0, more=2)

    assert scoring({}, store) == {}
    assert policy.calls == 0


def test_a_label_too_small_to_be_asked_for_is_left_out(scoring, tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=0, more=1)
    dot = np.zeros((56, 56), np.uint8)
    dot[3, 3] = 1
    accept(store, tmp_path, "study0", dot, disc_info())

    assert scoring({}, store) == {"study0": {}}


def test_a_label_without_a_name_is_left_out(scoring, tmp_path):
    store = accepted(tmp_path / "studies", tmp_path, count=1, more=1)
    accept(store, tmp_path, "study1", np.ones((56, 56), np.uint8), {})

    assert set(scoring({}, store)) == {"study0"}
