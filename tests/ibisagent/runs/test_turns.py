from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from harness.fake_tool import DiscTool
from harness.list_policy import ListPolicy
from harness.run_studies import eventually

from ibisagent.actions import Click
from ibisagent.agent import Agent
from ibisagent.policies.sampling import SamplingPolicy
from ibisagent.prompts import load_profile
from ibisagent.runs.turns import Interrupted, Turns, agent_in_turns


def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    turns, order = Turns(), []

    def work(number: int) -> None:
        with turns.turn():
            order.append(number)

    with turns.turn():
        threads = []
        for number in range(6):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            eventually(lambda: len(turns._waiting) == len(threads) + 1)
    for thread in threads:
        thread.join(5)
    assert order == list(range(6))


def test_two_who_always_want_more_alternate() -> None:
    turns, order = Turns(), []
    both = threading.Barrier(2)

    def work(name: str) -> None:
        both.wait(5)
        for _ in range(20):
            with turns.turn():
                order.append(name)
                time.sleep(0.002)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    together = order[2:-6]
    changes = sum(one != other for one, other in pairwise(together))
    assert changes >= 0.8 * (len(together) - 1), order


def test_nobody_is_inside_together_and_a_failure_hands_the_turn_on() -> None:
    turns, inside, most = Turns(), [], []

    def work() -> None:
        with pytest.raises(ValueError, match="inside"):
            fail_inside()

    def fail_inside() -> None:
        with turns.turn():
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.001)
            inside.pop()
            raise ValueError("inside")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    with turns.turn():
        pass
    assert most == [1] * 8


def test_who_waits_can_be_cancelled_and_leaves_the_line() -> None:
    turns, outcome = Turns(), []

    def wait() -> None:
        try:
            with turns.turn(lambda: True):
                outcome.append("in")
        except Interrupted:
            outcome.append("out")

    with turns.turn():
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(5)
    assert outcome == ["out"]
    with turns.turn():
        pass


def test_each_turn_enters_what_is_around() -> None:
    log: list[str] = []

    @contextmanager
    def around() -> Iterator[None]:
        log.append("in")
        yield
        log.append("out")

    turns = Turns(around)
    with turns.turn():
        log.append("work")
    assert log == ["in", "work", "out"]


@pytest.mark.parametrize(("policy_too", "count"), [(True, 3), (False, 2)])
def test_every_call_of_policy_and_tool_is_a_turn(policy_too: bool, count: int) -> None:
    entered: list[int] = []

    @contextmanager
    def around() -> Iterator[None]:
        entered.append(1)
        yield

    inner = Agent(ListPolicy(), DiscTool(), load_profile())
    agent = agent_in_turns(inner, Turns(around), policy_too=policy_too)
    assert (agent.policy.name, agent.tool.name) == ("list-policy", "disc-tool")
    agent.policy.replies([])
    prepared = agent.tool.set_image(np.zeros((20, 20, 3), np.uint8))
    assert prepared.segment([Click(0.5, 0.5)]).mask.any()
    assert len(entered) == count


def test_tool_is_not_called_for_a_run_that_was_cancelled() -> None:
    tool = DiscTool()
    agent = agent_in_turns(
        Agent(ListPolicy(), tool, load_profile()), Turns(), cancelled=lambda: True
    )
    with pytest.raises(Interrupted):
        agent.tool.set_image(np.zeros((20, 20, 3), np.uint8))


@dataclass
class Drawing(ListPolicy):
    """Says what it was asked to draw with."""

    drawn: tuple[float, int] | None = None

    def sampling(self, temperature: float, seed: int) -> Drawing:
        return Drawing(drawn=(temperature, seed))

    def replies(self, observations, cancelled=None) -> list[str]:
        return [str(self.drawn)]


def test_policy_that_can_draw_its_words_can_in_turns() -> None:
    entered: list[int] = []

    @contextmanager
    def around() -> Iterator[None]:
        entered.append(1)
        yield

    plain = agent_in_turns(Agent(ListPolicy(), DiscTool(), load_profile()), Turns())
    assert not isinstance(plain.policy, SamplingPolicy)
    agent = agent_in_turns(Agent(Drawing(), DiscTool(), load_profile()), Turns(around))
    assert isinstance(agent.policy, SamplingPolicy)
    assert agent.policy.sampling(0.5, 3).replies([]) == ["(0.5, 3)"]
    assert len(entered) == 1
