from __future__ import annotations

import numpy as np
from harness.fake_tool import DiscTool, disc
from harness.list_policy import TERMINATE, click

from ibisagent.actions import Click
from ibisagent.episode import Episode, Limits
from ibisagent.prompts import load_profile
from ibisagent.tools.base import Segmentation
from ibistrain.judging import moves_of

SHAPE = (30, 40)
TRUTH = disc(SHAPE, 15, 20, DiscTool.radius)


def episode(limits: Limits | None = None, start: Segmentation | None = None) -> Episode:
    rgb = np.zeros((*SHAPE, 3), np.uint8)
    return Episode(rgb, "the disc", DiscTool(), load_profile(), limits or Limits(), start)


def test_a_persons_click_changes_the_mask_and_is_not_judged():
    game = episode()
    game.click(Click.from_pixel(15, 20, *SHAPE))
    game.apply(TERMINATE)

    (move,) = moves_of(game, TRUTH)

    assert (move.before, move.after, move.clicks, move.ended) == (1.0, 1.0, 1, True)
    assert np.array_equal(move.mask, TRUTH)


def test_only_the_last_action_ends_and_only_if_the_episode_did():
    game = episode(Limits(max_steps=2))
    game.apply(click(0.1, 0.1))
    assert [move.ended for move in moves_of(game, TRUTH)] == [False]
    game.apply(click(0.2, 0.2))
    assert [move.ended for move in moves_of(game, TRUTH)] == [False, True]


def test_a_cancelled_episode_was_not_ended_by_its_last_action():
    game = episode()
    game.apply(click(0.1, 0.1))
    game.cancel()

    assert [move.ended for move in moves_of(game, TRUTH)] == [False]


def test_a_starting_mask_counts_before_the_first_action():
    game = episode(start=Segmentation(TRUTH, 0.0))
    game.apply(TERMINATE)

    (move,) = moves_of(game, TRUTH)

    assert move.before == 1.0
