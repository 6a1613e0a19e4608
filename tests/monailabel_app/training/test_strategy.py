from __future__ import annotations

import time
from contextlib import contextmanager

import pytest
from training_studies import accepted

from ibisagent.agent import Agent
from ibisagent.errors import InvalidRequest, PolicyFailed
from ibisagent_app.training.strategy import UNCERTAINTY, UncertaintyStrategy


class UnsurePolicy:
    """Clicks somewhere else each time on study 7's bright corner, in one place elsewhere."""

    name = "unsure"

    def __init__(self, fails=False, seconds=0.0):
        self.calls = 0
        self._fails = fails
        self._seconds = seconds

    def replies(self, observations, cancelled=lambda: False):
        self.calls += 1
        time.sleep(self._seconds)
        if self._fails:
            raise PolicyFailed("It failed.", "Mend it.")
        return [self._reply(seen) for seen in observations]

    def _reply(self, seen):
        if seen.step:
            return "<think>.</think><action>Terminate</action><answer>Marked.</answer>"
        unsure = seen.pictures[-1][0, 0, 0] > 200
        x = (0.2, 0.5, 0.8)[self.calls % 3] if unsure else 0.5
        return f"<think>.</think><action>Positive Point ({x:.4f}, 0.5000)</action>"


class Lent:
    """Stands for the app's shared agent."""

    def __init__(self, agent):
        self.agent = agent

    @contextmanager
    def use(self, cancelled=lambda: False):
        yield self.agent


@pytest.fixture
def store(tmp_path):
    import numpy as np
    import SimpleITK as sitk

    store = accepted(tmp_path / "studies", tmp_path, count=1, more=3)
    path = tmp_path / "studies" / "study2.png"
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    array[:2, :2] = 255
    sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(array)), str(path))
    return store


def strategy(obedient_agent, **options):
    policy = UnsurePolicy(**options)
    agent = Agent(policy, obedient_agent.tool, obedient_agent.profile)
    return UncertaintyStrategy(Lent(agent)), policy


def request(**fields):
    return {"strategy": UNCERTAINTY, **fields}


def test_the_study_of_which_the_agent_is_least_sure_comes_first(obedient_agent, store):
    chosen = strategy(obedient_agent)[0](request(), store)

    assert chosen["id"] == "study2"
    assert 0 < chosen["weight"] <= 1
    assert "'disc'" in chosen["reason"]


def test_what_was_found_is_kept_until_the_model_changes(obedient_agent, store):
    choose, policy = strategy(obedient_agent)
    choose(request(), store)
    first = policy.calls
    assert choose(request(), store)["id"] == "study2"
    assert policy.calls == first

    policy.name = "another"
    choose(request(), store)
    assert policy.calls == 2 * first
    assert store.get_image_info("study2")[UNCERTAINTY]["model"].startswith("another")


def test_the_number_of_images_is_limited(obedient_agent, store):
    choose, policy = strategy(obedient_agent)
    choose(request(images=1), store)
    one = policy.calls
    choose(request(images=1), store)
    assert policy.calls == 2 * one


def test_where_time_is_over_the_choice_is_random(obedient_agent, store, caplog):
    choose, _ = strategy(obedient_agent, seconds=0.1)
    with caplog.at_level("INFO"):
        began = time.monotonic()
        chosen = choose(request(seconds=0.01), store)

    assert time.monotonic() - began < 5
    assert chosen["id"] in {"study1", "study2", "study3"}
    assert "At random" in chosen["reason"]
    assert "in time" in caplog.text


def test_a_policy_that_fails_does_not_stop_the_work(obedient_agent, store):
    chosen = strategy(obedient_agent, fails=True)[0](request(), store)

    assert chosen["id"] in {"study1", "study2", "study3"}
    assert "At random" in chosen["reason"]


def test_before_anything_was_accepted_the_choice_is_random(obedient_agent, tmp_path):
    store = accepted(tmp_path / "none", tmp_path, count=0, more=2)

    chosen = strategy(obedient_agent)[0](request(), store)

    assert "Nothing was accepted yet" in chosen["reason"]
    assert strategy(obedient_agent)[0](request(prompt="disc"), store)["weight"] <= 1


def test_a_name_that_the_model_has_not_learnt_says_nothing(obedient_agent, store):
    choose, _ = strategy(obedient_agent)
    profile = obedient_agent.profile.model_copy(update={"targets": ("liver",)})
    choose._agent.agent = Agent(choose._agent.agent.policy, obedient_agent.tool, profile)

    assert "not learnt to find 'disc'" in choose(request(), store)["reason"]


def test_where_all_are_labelled_there_is_none(obedient_agent, tmp_path):
    store = accepted(tmp_path / "all", tmp_path, count=2)

    assert strategy(obedient_agent)[0](request(), store) is None


def test_what_somebody_was_just_given_is_not_given_again(obedient_agent, store):
    choose, _ = strategy(obedient_agent)
    given = {UNCERTAINTY: {"ts": int(time.time())}}
    store.update_image_info("study2", {"strategy": given})

    assert choose(request(), store)["id"] != "study2"


@pytest.mark.parametrize(("field", "value"), [("seconds", 0), ("seconds", "soon"), ("images", 1e9)])
def test_a_limit_that_does_not_fit_is_named(obedient_agent, store, field, value):
    with pytest.raises(InvalidRequest, match=field):
        strategy(obedient_agent)[0](request(**{field: value}), store)
