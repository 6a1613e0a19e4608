from __future__ import annotations

from random import Random

import numpy as np
import pytest
from harness.fake_tool import DiscTool

from ibisagent.actions import Click
from ibisagent.episode import Author
from ibisagent.metrics import iou
from ibistrain.simulate import simulate, simulate_episodes
from ibistrain.states import read_trajectories, states_of


@pytest.fixture(scope="module")
def tool():
    return DiscTool()


def test_an_episode_brings_the_mask_closer(pictures, tool):
    for seed in range(8):
        picture = pictures[seed % 6]
        trajectory = simulate(picture, "disc", tool, Random(seed))
        truth = picture.truth("disc")
        before, after = trajectory.start.decode(), trajectory.mask.decode()
        assert iou(after, truth) > iou(before, truth)


def test_wrong_clicks_are_not_the_agents(pictures, tool):
    """A click placed wrong on purpose must not be learnt from."""
    wrong = 0
    for seed in range(60):
        picture = pictures[seed % 6]
        truth = picture.truth("disc")
        for step in simulate(picture, "disc", tool, Random(seed)).steps:
            if step.action.kind == "positive":
                click = Click(step.action.x, step.action.y)
                on_target = truth[click.to_pixel(*truth.shape)]
                assert on_target == (step.author is Author.AGENT)
                wrong += not on_target
    assert wrong > 0


def test_a_broken_run_continues_to_the_same_file(pictures, tool, tmp_path):
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    simulate_episodes(pictures, tool, whole, 6, seed=3)
    simulate_episodes(pictures, tool, broken, 4, seed=3)
    broken.write_bytes(broken.read_bytes()[:-40])  # killed while writing a line
    simulate_episodes(pictures, tool, broken, 6, seed=3)

    def actions(file):
        return [[s.action for s in t.steps] for t in read_trajectories(file)]

    assert actions(broken) == actions(whole)
    assert len(actions(whole)) == 6


def test_states_are_the_masks_on_the_way(pictures, tool):
    trajectory = simulate(pictures[0], "disc", tool, Random(1))
    by_name = {picture.name: picture for picture in pictures}
    states = states_of([trajectory], by_name)
    masks = [step.mask.decode() for step in trajectory.steps if step.carried_out]
    assert len(states) == len(masks)
    assert all(np.array_equal(s.mask, m) for s, m in zip(states, masks, strict=True))
    assert states[-1].settled  # nothing came after it that could have helped


def test_states_of_unknown_pictures_are_passed_over(pictures, tool):
    trajectory = simulate(pictures[0], "disc", tool, Random(1))
    assert states_of([trajectory], {}) == []
