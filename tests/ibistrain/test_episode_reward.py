from __future__ import annotations

from random import Random

import numpy as np
import pytest
from harness.fake_tool import DiscTool, disc
from harness.list_policy import TERMINATE, click

from ibisagent.episode import Limits
from ibisagent.prompts import load_profile
from ibistrain.episode_reward import EpisodeReward
from ibistrain.rewards import RewardWeights
from ibistrain.state_buffer import StateBuffer
from ibistrain.tasks import Task

SHAPE = (30, 40)
HIT, MISS = click(0.5125, 0.5166), click(0.1, 0.1)


class OneDisc:
    def draw(self, rng: Random) -> Task:
        return self.find("disc", "the disc")

    def find(self, key: str, prompt: str) -> Task:
        truth = disc(SHAPE, 15, 20, DiscTool.radius)
        return Task(key, prompt, np.zeros((*SHAPE, 3), np.uint8), truth)


def reward() -> tuple[StateBuffer, EpisodeReward]:
    buffer = StateBuffer(OneDisc(), DiscTool(), load_profile(), Limits(), fresh=1.0)
    return buffer, EpisodeReward(buffer, RewardWeights())


def chat(text: str) -> list[dict]:
    return [{"role": "assistant", "content": text}]


def test_actions_of_one_state_are_valued_in_their_order():
    buffer, value = reward()
    number, _ = buffer.draw()
    replies = [HIT, MISS, TERMINATE, "nonsense"]

    values = value([chat(text) for text in replies], [number] * 4)

    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 4
    assert value.seconds > 0


def test_groups_are_told_apart_and_texts_are_taken_in_any_form():
    buffer, value = reward()
    numbers = [buffer.draw()[0] for _ in range(2)]
    parts = [{"role": "assistant", "content": [{"type": "text", "text": MISS}]}]

    values = value([HIT, parts, chat(HIT), TERMINATE], [numbers[0]] * 2 + [numbers[1]] * 2)

    assert values[0] == values[2]
    assert len(buffer) == 2


def test_figures_to_monitor_are_means_over_what_they_apply_to():
    buffer, value = reward()
    number, _ = buffer.draw()
    logged: dict[str, float] = {}

    value([HIT, MISS, TERMINATE, "?"], [number] * 4, log_metric=logged.__setitem__)

    assert logged["episode/first_click_hit"] == pytest.approx(1 / 4)
    assert logged["episode/turns"] == 1
    assert logged["episode/stopped"] == 1
    assert logged["episode/good_stop"] == 0
    assert logged["reward/format"] == pytest.approx(-1 / 4)
    assert logged["reward/answer"] == pytest.approx(-1 / 4)
    assert logged["reward/click"] == pytest.approx(-1 / 4)
