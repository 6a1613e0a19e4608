"""The order of rewards, pinned by hand-made trajectories, beside that of the published script."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from harness.list_policy import TERMINATE, ListPolicy, click
from hypothesis import given
from hypothesis import strategies as st

from ibisagent.actions import Click, Malformed, Reply, Terminate
from ibisagent.episode import Episode, Limits, run
from ibisagent.metrics import iou
from ibisagent.prompts import load_profile
from ibisagent.tools.base import RGB, Mask, Segmentation
from ibistrain.judging import moves_of
from ibistrain.rewards import (
    FREE_CLICKS,
    Move,
    RewardWeights,
    action_value,
    answer_reward,
    click_reward,
    format_reward,
    length_reward,
    progress_reward,
    trajectory_return,
)

WEIGHTS = RewardWeights()
SIDE = 20
NONSENSE = "I would rather not click."


def square(size: int, extra: int = 0) -> Mask:
    """The first `size` columns of rows 0 to 9, and `extra` pixels of the last row."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[:10, :size] = True
    mask[-1, :extra] = True
    return mask


TRUTH, ABSENT = square(10), square(0)
NOTHING, POOR, FAIR, GOOD, SPILLED = square(0), square(4), square(6), square(9), square(10, 2)
INSIDE, EDGE, OUTSIDE, SPILL = (0.1, 0.1), (0.475, 0.1), (0.9, 0.6), (0.025, 0.99)


@dataclass
class MaskList:
    """A tool that answers with prepared masks, one after the other."""

    masks: list[Mask] = field(default_factory=list)

    name = "mask-list"

    def set_image(self, rgb: RGB) -> MaskList:
        return self

    def segment(self, clicks: list[Click], prior: Segmentation | None = None) -> Segmentation:
        return Segmentation(self.masks.pop(0), 0.5)


def play(
    replies: list[str], masks: list[Mask], truth: Mask = TRUTH, start: Mask | None = None
) -> list[Move]:
    """Moves of a real episode whose replies and masks are given."""
    rgb = np.zeros((SIDE, SIDE, 3), np.uint8)
    begin = None if start is None else Segmentation(start, 0.0)
    limits = Limits(max_steps=len(replies), max_repeats=50)
    episode = Episode(rgb, "square", MaskList(list(masks)), load_profile(), limits, begin)
    run([episode], ListPolicy(list(replies)))
    return list(moves_of(episode, truth))


ORDERED = {
    "perfect early stop": ([click(*INSIDE), TERMINATE], [GOOD]),
    "late stop": ([click(*INSIDE), click(*EDGE), TERMINATE], [POOR, GOOD]),
    "useless extra click": ([click(*INSIDE), click(*EDGE), TERMINATE], [GOOD, GOOD]),
    "wrong click": ([click(*INSIDE), click(*OUTSIDE), TERMINATE], [GOOD, GOOD]),
    "nonsense": ([NONSENSE, NONSENSE], []),
}


def published(moves: list[Move]) -> float:
    """Sum of the published script's scores, as its data make it work (FACTS of the reference).

    Its data never carry the previous IoU or the step: progress is 1 for any overlap and length
    is 0. It is applied to each state alone; a stop counts only if it is spelt Termination, as we
    grant it here.
    """
    total = 0.0
    for move in moves:
        if isinstance(move.reply, Malformed):
            continue
        placed = progress = 0.0
        if isinstance(move.reply.action, Click):
            placed = 1.0 if click_reward(move.reply.action, move.mask, TRUTH) == 0 else -1.0
            progress = float(move.after > 0)
        tiers = (move.after > 0.8) + (move.after > 0.7) + (move.after > 0.5)
        total += (1.0 + tiers + placed + progress) / 5
    return total


def test_returns_fall_in_the_stated_order():
    returns = [trajectory_return(play(*case), TRUTH, WEIGHTS) for case in ORDERED.values()]

    assert returns == sorted(returns, reverse=True)
    assert len(set(returns)) == len(returns)


def test_the_published_scores_pay_for_not_stopping():
    scores = {name: published(play(*case)) for name, case in ORDERED.items()}

    assert scores["perfect early stop"] < scores["late stop"]
    assert scores["perfect early stop"] < scores["wrong click"]
    assert scores["perfect early stop"] < scores["useless extra click"]


@pytest.mark.parametrize(
    ("reply", "after", "theirs"),
    [(TERMINATE, GOOD, 0.8), (click(*EDGE), GOOD, 1.2), (click(*OUTSIDE), GOOD, 0.8)],
    ids=["stop", "further click", "wrong further click"],
)
def test_at_a_good_mask_the_published_script_prefers_to_go_on_and_we_to_stop(reply, after, theirs):
    start = square(9)
    (move, *_) = play([reply, TERMINATE], [after], start=start)
    (stop, *_) = play([TERMINATE], [], start=start)

    assert published([move]) == pytest.approx(theirs)
    mine, best = (action_value(m, TRUTH, WEIGHTS) for m in (move, stop))
    assert mine == best if reply == TERMINATE else mine < best


def test_more_trajectories_in_their_order():
    cases = {
        "right at once": ([click(*INSIDE), TERMINATE], [TRUTH]),
        "two clicks": ([click(*INSIDE), click(*EDGE), TERMINATE], [FAIR, GOOD]),
        "wrong, then right": ([click(*OUTSIDE), click(*INSIDE), TERMINATE], [NOTHING, GOOD]),
        "stop at a fair mask": ([click(*INSIDE), TERMINATE], [FAIR]),
        "stop at a poor mask": ([click(*INSIDE), TERMINATE], [POOR]),
        "stop before any click": ([TERMINATE], []),
        "never stop": ([click(*INSIDE)] + 4 * [click(*EDGE)], 5 * [FAIR]),
    }
    returns = {name: trajectory_return(play(*case), TRUTH, WEIGHTS) for name, case in cases.items()}

    assert list(returns) == sorted(returns, key=lambda name: -returns[name])


@pytest.mark.parametrize(
    ("replies", "masks"),
    [
        ([click(*INSIDE), TERMINATE], [FAIR]),
        ([click(*INSIDE), TERMINATE], [NOTHING]),
        ([click(*INSIDE), click(*INSIDE, positive=False), TERMINATE], [FAIR, NOTHING]),
        ([NONSENSE, TERMINATE], []),
        ([NONSENSE, NONSENSE], []),
    ],
)
def test_of_an_absent_target_nothing_beats_saying_so_at_once(replies, masks):
    at_once = play([TERMINATE], [], ABSENT)
    other = play(replies, masks, ABSENT)

    assert trajectory_return(at_once, ABSENT, WEIGHTS) == WEIGHTS.answer
    assert trajectory_return(other, ABSENT, WEIGHTS) < WEIGHTS.answer
    assert action_value(other[0], ABSENT, WEIGHTS) < action_value(at_once[0], ABSENT, WEIGHTS)


def test_at_an_empty_mask_a_hit_beats_a_miss_and_a_miss_beats_giving_up():
    cases = {
        "hit": ([click(*INSIDE), TERMINATE], [FAIR]),
        "useless hit": ([click(*INSIDE), TERMINATE], [NOTHING]),
        "miss": ([click(*OUTSIDE), TERMINATE], [NOTHING]),
        "give up": ([TERMINATE], []),
        "nonsense": ([NONSENSE, TERMINATE], []),
    }
    values = {n: action_value(play(*case)[0], TRUTH, WEIGHTS) for n, case in cases.items()}

    assert list(values) == sorted(values, key=lambda name: -values[name])


def test_clicks_are_right_in_the_error_only():
    assert click_reward(Click(*INSIDE), NOTHING, TRUTH) == 0
    assert click_reward(Click(*INSIDE), TRUTH, TRUTH) == -1
    assert click_reward(Click(*INSIDE, positive=False), TRUTH, TRUTH) == -1
    assert click_reward(Click(*SPILL, positive=False), SPILLED, TRUTH) == 0
    assert click_reward(Click(*SPILL), SPILLED, TRUTH) == -1
    assert click_reward(Click(*OUTSIDE), NOTHING, TRUTH) == -1


def test_both_spellings_of_the_stop_are_well_formed():
    for word in ("Terminate", "Termination"):
        (move,) = play([f"<think>a</think><action>\n{word}\n</action>"], [], start=GOOD)
        assert format_reward(move.reply) == 0
        assert action_value(move, TRUTH, WEIGHTS) == WEIGHTS.answer


def test_a_click_costs_and_more_beyond_the_free_ones():
    costs = [length_reward(n) for n in range(1, 9)]

    assert costs[:FREE_CLICKS] == FREE_CLICKS * [-1.0]
    assert costs[FREE_CLICKS:] == pytest.approx([-1.2, -1.4, -1.6])


def test_an_answer_is_as_good_as_its_mask_up_to_a_good_one():
    assert answer_reward(0.0) == -1
    assert answer_reward(0.425) == pytest.approx(0)
    assert answer_reward(0.85) == answer_reward(1.0) == 1


@given(st.floats(0, 1), st.floats(0, 1))
def test_going_astray_and_back_never_pays(first, second):
    there_and_back = progress_reward(first, second) + progress_reward(second, first)

    assert there_and_back <= 0
    assert -1.25 <= progress_reward(first, second) <= 1


MASKS = st.integers(0, 2**12 - 1).map(
    lambda bits: np.array([bits >> n & 1 for n in range(12)], bool).reshape(3, 4)
)
CLICKS = st.builds(Click, st.floats(0, 1), st.floats(0, 1), st.booleans())


def move_of(action: Click | Terminate | None, mask: Mask, after: Mask, truth: Mask, n: int) -> Move:
    reply = Malformed("no action") if action is None else Reply("", action)
    ended = isinstance(action, Terminate)
    return Move(reply, mask, iou(mask, truth), iou(after, truth), n, ended)


@given(CLICKS, MASKS, MASKS, MASKS, st.integers(1, 20))
def test_stopping_at_a_good_mask_beats_every_further_click(action, mask, after, truth, n):
    further = action_value(move_of(action, mask, after, truth, n), truth, WEIGHTS)
    stop = action_value(move_of(Terminate(), mask, mask, truth, n), truth, WEIGHTS)

    if iou(mask, truth) >= WEIGHTS.good:
        assert stop > further


@given(CLICKS, MASKS, MASKS, MASKS, st.integers(1, 20))
def test_nonsense_is_worse_than_any_click(action, mask, after, truth, n):
    clicked = action_value(move_of(action, mask, after, truth, n), truth, WEIGHTS)
    nonsense = action_value(move_of(None, mask, mask, truth, n), truth, WEIGHTS)

    assert nonsense < clicked


@given(CLICKS, MASKS, MASKS, st.integers(1, 20))
def test_a_useless_click_costs(action, mask, truth, n):
    useless = action_value(move_of(action, mask, mask, truth, n), truth, WEIGHTS)
    next_stop = answer_reward(iou(mask, truth), WEIGHTS.good)

    assert useless < WEIGHTS.answer * max(next_stop, WEIGHTS.patience)


def test_weights_know_whether_stopping_still_pays():
    assert WEIGHTS.stopping_pays
    assert not RewardWeights(length=0).stopping_pays
    assert not RewardWeights(answer=0).stopping_pays
