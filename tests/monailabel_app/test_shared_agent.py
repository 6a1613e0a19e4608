from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ibisagent.agent import Agent
from ibisagent.errors import ModelNotFound
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


def test_one_at_a_time(loads: list[tuple[str, ...]]) -> None:
    shared, inside, most = SharedAgent(Configuration()), [], []
    lock = threading.Lock()

    def work(number: int) -> None:
        with shared.use():
            with lock:
                inside.append(number)
                most.append(len(inside))
            time.sleep(0.01)
            with lock:
                inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert max(most) == 1
    assert len(loads) == 1


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
        assert agent is obedient_agent


def test_lock_is_free_after_a_failure(loads: list[tuple[str, ...]]) -> None:
    shared = SharedAgent(Configuration())
    with pytest.raises(ValueError, match="inside"), shared.use():
        raise ValueError("inside")
    with shared.use():
        pass
