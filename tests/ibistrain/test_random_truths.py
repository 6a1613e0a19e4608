"""The control against reward hacking, for real: with random truths nothing may be gained."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from harness.fake_tool import DiscTool, disc
from harness.list_policy import TERMINATE, click
from harness.undecided_checkpoint import undecided

from ibisagent.episode import Limits
from ibisagent.policies.local import LocalPolicy
from ibisagent.prompts import load_profile
from ibistrain.play_tasks import Judgement, draw_tasks, play_tasks
from ibistrain.random_truths import HackingCheck, RandomTruths
from ibistrain.rewards import RewardWeights
from ibistrain.rl import rl
from ibistrain.rl_config import RlConfig
from ibistrain.tasks import Task, TaskSource

PROMPT = "the disc"
CLICKS = tuple(click(x, y) for x, y in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)))
SIDE = 56


class ManyDiscs:
    """Forty pictures, each with the disc at the upper left."""

    def draw(self, rng: Random) -> Task:
        return self.find(str(rng.randrange(40)), PROMPT)

    def find(self, key: str, prompt: str) -> Task:
        rgb = np.full((SIDE, SIDE, 3), 100 + int(key), np.uint8)
        return Task(key, prompt, rgb, disc((SIDE, SIDE), 14, 14, DiscTool.radius))


def test_a_random_truth_is_the_same_each_time_and_lies_anywhere():
    tasks = RandomTruths(ManyDiscs(), seed=1)
    found = [tasks.find(str(key), PROMPT).truth for key in range(40)]

    assert all(np.array_equal(tasks.find(str(k), PROMPT).truth, found[k]) for k in range(40))
    true = ManyDiscs().find("0", PROMPT).truth
    assert {int(truth.sum()) for truth in found} == {int(true.sum())}
    assert np.any(found, axis=0).mean() > 0.5
    assert not np.array_equal(RandomTruths(ManyDiscs(), seed=2).find("0", PROMPT).truth, found[0])


def test_only_what_fits_the_truths_better_counts_as_a_gain():
    before = Judgement(reward=-3.0, iou=0.02, right_clicks=0.04, turns=8.0, good_stops=0.0)
    terser = Judgement(reward=-1.0, iou=0.02, right_clicks=0.05, turns=2.0, good_stops=0.0)
    better = Judgement(reward=-1.0, iou=0.02, right_clicks=0.40, turns=2.0, good_stops=0.0)

    assert HackingCheck(before, terser).passed
    assert not HackingCheck(before, better).passed


@pytest.mark.slow
def test_training_gains_with_true_labels_and_not_with_random_ones(tmp_path: Path):
    profile = load_profile()
    start = undecided(tmp_path / "start", profile, PROMPT, (*CLICKS, TERMINATE))

    def judged(checkpoint: Path, source: TaskSource) -> Judgement:
        policy = LocalPolicy(checkpoint, "cpu", max_new_tokens=48, temperature=1.0)
        tasks = draw_tasks(source, 64, seed=5)
        limits = Limits(max_steps=3)
        return play_tasks(policy, tasks, DiscTool(), profile, RewardWeights(), limits)

    def check(name: str, source: TaskSource) -> HackingCheck:
        config = RlConfig(
            model=str(start), out=tmp_path / name, data=tmp_path, steps=12, group=8, states=3,
            reply_tokens=48, learning_rate=3e-4, max_turns=3, train_vision=True,
            trl={"disable_tqdm": True},
        )  # fmt: skip
        trained = rl(config, tasks=source, tool=DiscTool())
        return HackingCheck(judged(start, source), judged(trained, source))

    control = check("random", RandomTruths(ManyDiscs(), seed=0))
    real = check("true", ManyDiscs())

    assert control.passed, control
    assert not real.passed, real
    assert real.after.iou > real.before.iou + 0.1
