from __future__ import annotations

import numpy as np
from harness.fake_tool import DiscTool
from harness.list_policy import TERMINATE, ListPolicy, click

from ibisagent.actions import Click
from ibisagent.agent import Agent
from ibisagent.episode import Episode, Limits, StopReason, run
from ibisagent.prompts import load_profile
from ibisagent.reopen import reopen
from ibisagent.tools.base import Segmentation
from ibisagent.trajectory import SliceRecord, Trajectory, record

PICTURE = np.zeros((40, 44, 3), np.uint8)
WHERE = SliceRecord(image="a", plane="axial", index=3, height=40, width=44)


def played() -> tuple[Episode, Agent]:
    """An episode with everything that can be in one."""
    agent = Agent(
        ListPolicy([click(0.5, 0.5), "nonsense", click(0.2, 0.2)]), DiscTool(), load_profile()
    )
    start = np.zeros((40, 44), dtype=bool)
    start[30:, 30:] = True
    episode = Episode(PICTURE, "x", agent.tool, agent.profile, start=Segmentation(start, 1.0))
    run([episode], agent.policy)
    episode.click(Click(0.9, 0.1, positive=False))
    episode.click(Click(0.1, 0.9))
    episode.undo()
    return episode, agent


def test_record_of_a_reopened_episode_is_the_record_it_was_made_of() -> None:
    episode, agent = played()
    before = record(episode, WHERE, agent.policy.name)
    again = Trajectory.model_validate_json(before.model_dump_json())
    reopened = reopen(again, PICTURE, agent, Limits())
    after = record(reopened, WHERE, agent.policy.name)
    assert after.model_copy(update={"written": before.written}) == before


def test_agent_sees_the_same_after_reopening() -> None:
    episode, agent = played()
    reopened = reopen(record(episode, WHERE, ""), PICTURE, agent, Limits())
    one, other = episode.observe(), reopened.observe()
    assert one.messages == other.messages
    assert (one.clicks, one.step) == (other.clicks, other.step)
    np.testing.assert_array_equal(one.pictures[-1], other.pictures[-1])


def test_agent_may_take_its_full_number_of_steps_again() -> None:
    agent = Agent(
        ListPolicy([click(0.1 * n, 0.5) for n in range(1, 9)]), DiscTool(), load_profile()
    )
    limits = Limits(max_steps=2)
    episode = Episode(PICTURE, "x", agent.tool, agent.profile, limits)
    run([episode], agent.policy)
    assert episode.stop is StopReason.STEP_LIMIT
    reopened = reopen(record(episode, WHERE, ""), PICTURE, agent, limits)
    assert reopened.stop is StopReason.STEP_LIMIT
    reopened.stop = None
    run([reopened], agent.policy)
    assert len(reopened.steps) == 4


def test_between_may_reopen_an_episode_that_has_ended() -> None:
    agent = Agent(ListPolicy([click(0.5, 0.5), TERMINATE]), DiscTool(), load_profile())
    episode = Episode(PICTURE, "x", agent.tool, agent.profile)
    stops: list[StopReason | None] = []

    def between() -> None:
        stops.append(episode.stop)
        if len(stops) == 3:
            episode.click(Click(0.1, 0.1))

    run([episode], agent.policy, between=between)
    assert stops == [None, None, StopReason.TERMINATED, StopReason.TERMINATED]
    assert len(episode.steps) == 4
