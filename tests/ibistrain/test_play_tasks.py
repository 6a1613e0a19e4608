from __future__ import annotations

import numpy as np
import pytest
from harness.fake_tool import DiscTool, disc
from harness.list_policy import TERMINATE, ListPolicy, click

from ibisagent.episode import Limits
from ibisagent.prompts import load_profile
from ibistrain.play_tasks import play_tasks
from ibistrain.rewards import RewardWeights
from ibistrain.tasks import Task

SHAPE = (20, 20)


def task(row: int, column: int, start: np.ndarray | None = None) -> Task:
    truth = disc(SHAPE, row, column, DiscTool.radius)
    return Task("t", "the disc", np.zeros((*SHAPE, 3), np.uint8), truth, start)


def test_episodes_are_played_to_their_ends_and_judged():
    policy = ListPolicy([click(0.525, 0.525), click(0.1, 0.1), TERMINATE, "nonsense", "nonsense"])

    found = play_tasks(
        policy, [task(10, 10), task(19, 19)], DiscTool(), load_profile(), RewardWeights(), Limits()
    )

    assert policy.calls == [2, 2, 1]
    assert found.right_clicks == 0.5
    assert found.good_stops == 0.5
    assert found.iou == pytest.approx(0.5)
    assert found.turns == 2.5
    assert found.reward < 0


def test_a_starting_mask_is_given_to_the_episode():
    start = disc(SHAPE, 10, 10, DiscTool.radius)

    found = play_tasks(
        ListPolicy(), [task(10, 10, start)], DiscTool(), load_profile(), RewardWeights(), Limits()
    )

    assert (found.iou, found.turns, found.right_clicks, found.reward) == (1.0, 1, 0.0, 1.0)
