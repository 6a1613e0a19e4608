from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml
from harness.tiny_checkpoint import write_checkpoint

from ibisagent.agent import Agent
from ibisagent.errors import ModelNotFound
from ibisagent.prompts import PROFILE_FILE, load_profile
from ibisagent_app import shared_agent
from ibisagent_app.configuration import Configuration
from ibisagent_app.shared_agent import SharedAgent


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch, obedient_agent: Agent) -> list[tuple[str, ...]]:
    calls: list[tuple[str, ...]] = []

    def load(*arguments: str) -> Agent:
        calls.append(arguments)
        return obedient_agent

    monkeypatch.setattr(shared_agent, "load_agent", load)
    return calls


def test_agent_is_loaded_at_first_use_and_once(loads: list[tuple[str, ...]]) -> None:
    shared = SharedAgent(Configuration(policy="p", tool="t", device="cpu", prompts="q"))
    assert loads == []
    for _ in range(3):
        with shared.use() as agent:
            assert agent.policy.name == "obedient"
    assert loads == [("p", "t", "cpu", "q")]


def test_one_call_at_a_time(loads: list[tuple[str, ...]]) -> None:
    inside, most = [], []

    @contextmanager
    def around() -> Iterator[None]:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.01)
        yield
        inside.pop()

    shared = SharedAgent(Configuration(), around=around)

    def work(number: int) -> None:
        with shared.use() as agent:
            agent.tool.set_image(np.zeros((64, 64, 3), np.uint8))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert most == [1] * 8
    assert len(loads) == 1


def test_several_may_hold_the_agent_between_its_calls(loads: list[tuple[str, ...]]) -> None:
    shared = SharedAgent(Configuration())
    with shared.use(), shared.use() as agent:
        assert agent.tool.set_image(np.zeros((64, 64, 3), np.uint8))


def test_policy_on_another_machine_takes_no_turn(loads: list[tuple[str, ...]]) -> None:
    shared = SharedAgent(Configuration(policy="endpoint:http://h:1/v1#m"))
    with shared.use() as agent, shared.turns.turn():
        assert agent.policy.replies([]) == []


def test_idle_models_are_freed_and_loaded_again(loads: list[tuple[str, ...]]) -> None:
    shared = SharedAgent(Configuration())
    assert not shared.free_if_idle(1e-9)
    with shared.use():
        assert not shared.free_if_idle(1e-9)
    assert not shared.free_if_idle(60)
    assert not shared.free_if_idle(0)
    assert shared.free_if_idle(1e-9)
    assert shared.loaded is None
    with shared.use():
        assert shared.loaded is not None
    assert len(loads) == 2


def release(models: Path, version: str, **targets: str) -> Path:
    """A release as `ibistrain.release` leaves it, with as much in it as is read here."""
    folder = models / "versions" / version
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    profile = load_profile().model_dump(mode="json") | {"targets": list(targets)}
    (folder / PROFILE_FILE).write_text(yaml.safe_dump(profile))
    pointer = {"format": "ibisagent-release/1", "version": version}
    (models / "new.json").write_text(json.dumps(pointer))
    (models / "new.json").replace(models / "current.json")
    return folder


def test_released_model_is_taken_into_use_without_a_restart(
    loads: list[tuple[str, ...]], tmp_path: Path
) -> None:
    shared = SharedAgent(Configuration(), tmp_path)
    with shared.use() as before:
        folder = release(tmp_path, "0001", spleen="")
        assert shared.profile().targets == ("spleen",)
        with shared.use() as after:
            assert after is not before
    with shared.use():
        pass
    assert [policy for policy, *_ in loads] == ["embedded", str(folder)]
    assert shared.release == "0001"


@pytest.mark.parametrize(
    ("configured", "options"),
    [
        ("hf:a/b@c#d?max_pixels=262144&four_bit=true", "?max_pixels=262144&four_bit=true"),
        ("embedded?max_pixels=5000", "?max_pixels=5000"),
        ("embedded?four_bit=false", ""),
        ("endpoint:http://127.0.0.1:8001/v1#m?max_pixels=262144", "?max_pixels=262144"),
        ("endpoint:http://127.0.0.1:8001/v1#m", ""),
    ],
)
def test_released_model_keeps_the_options_of_the_configured_policy(
    loads: list[tuple[str, ...]], tmp_path: Path, configured: str, options: str
) -> None:
    shared = SharedAgent(Configuration(policy=configured), tmp_path)
    folder = release(tmp_path, "0001", spleen="")
    with shared.use():
        pass
    assert [policy for policy, *_ in loads] == [f"{folder}{options}"]


def test_options_reach_the_released_model_itself(tmp_path: Path) -> None:
    shared = SharedAgent(Configuration(policy="embedded?max_pixels=5000", device="cpu"), tmp_path)
    folder = write_checkpoint(tmp_path / "versions" / "0001")
    pointer = {"format": "ibisagent-release/1", "version": "0001"}
    (tmp_path / "current.json").write_text(json.dumps(pointer))
    with shared.use() as agent:
        assert agent.policy.name == f"local:{folder.name}?max_pixels=5000"
    assert shared.loaded is not None
    assert shared.loaded.policy._max_pixels == 5000  # type: ignore[attr-defined]


def test_release_that_cannot_be_loaded_leaves_the_old_model_in_use(
    monkeypatch: pytest.MonkeyPatch,
    obedient_agent: Agent,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    loads: list[str] = []

    def load(policy: str, *_: str) -> Agent:
        loads.append(policy)
        if policy != "embedded":
            raise ModelNotFound("Broken.", "Mend it.")
        return obedient_agent

    monkeypatch.setattr(shared_agent, "load_agent", load)
    shared = SharedAgent(Configuration(), tmp_path)
    broken = release(tmp_path, "0001", spleen="")
    for _ in range(3):
        with shared.use() as agent:
            assert agent.policy.name == "obedient"
    assert loads == [str(broken), "embedded"]
    assert "Broken" in caplog.text
    assert shared.release == ""
    assert shared.profile().targets != ("spleen",)


def test_damaged_pointer_leaves_the_configured_model_in_use(
    loads: list[tuple[str, ...]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "current.json").write_text("nonsense")
    shared = SharedAgent(Configuration(), tmp_path)
    for _ in range(2):
        with shared.use():
            pass
    assert len(loads) == 1
    assert caplog.text.count("current.json") == 1


def test_failed_load_is_tried_again(monkeypatch: pytest.MonkeyPatch, obedient_agent) -> None:
    outcomes = [ModelNotFound("Gone.", "Put it back."), obedient_agent]

    def load(*_: str) -> Agent:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(shared_agent, "load_agent", load)
    shared = SharedAgent(Configuration())
    with pytest.raises(ModelNotFound), shared.use():
        pass
    with shared.use() as agent:
        assert agent.policy.name == obedient_agent.policy.name


def test_lock_is_free_after_a_failure(loads: list[tuple[str, ...]]) -> None:
    shared = SharedAgent(Configuration())
    with pytest.raises(ValueError, match="inside"), shared.use():
        raise ValueError("inside")
    with shared.use():
        pass
