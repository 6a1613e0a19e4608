from __future__ import annotations

from random import Random

import numpy as np
import pytest

from ibisagent.actions import Click, Reply, Terminate, parse
from ibisagent.prompts import load_profile
from ibistrain.examples import Example, ExampleMaker
from ibistrain.states import State


@pytest.fixture(scope="module")
def maker(start, catalogue):
    return ExampleMaker(load_profile(start), catalogue.synonyms)


def actions(example: Example) -> list[Click | Terminate]:
    replies = [parse(turn.reply) for turn in example.turns]
    assert all(isinstance(reply, Reply) for reply in replies)
    return [reply.action for reply in replies]


def test_first_clicks_lie_on_the_target(maker, pictures):
    for seed in range(15):
        example = maker.first(pictures[seed % 6], Random(seed))
        for turn, action in zip(example.turns, actions(example), strict=True):
            if turn.region is None:
                assert isinstance(action, Terminate)
            else:
                assert action.positive
                assert turn.region[action.to_pixel(*turn.region.shape)]


def test_absent_targets_are_asked_for_and_denied(maker, pictures):
    denied = [
        turn
        for seed in range(60)
        for turn in maker.first(pictures[0], Random(seed)).turns
        if "star" in turn.question
    ]
    assert denied
    assert all("<action>Terminate</action>" in turn.reply for turn in denied)


def test_a_missed_half_is_added(maker, pictures):
    picture = pictures[0]
    disc = picture.truth("disc")
    half = disc.copy()
    half[:, : int(np.nonzero(disc)[1].mean())] = False
    state = State(picture.name, "disc", half, settled=False)
    example = maker.refinement(picture, state, Random(0))
    (action,) = actions(example)
    assert action.positive
    assert not example.mask[action.to_pixel(*example.mask.shape)]


def test_a_spill_is_removed(maker, pictures):
    picture = pictures[0]
    state = State(picture.name, "disc", picture.truth("thing"), settled=False)
    (action,) = actions(maker.refinement(picture, state, Random(0)))
    assert not action.positive


def test_good_and_settled_masks_end(maker, pictures):
    picture = pictures[0]
    good = State(picture.name, "disc", picture.truth("disc"), settled=False)
    stuck = State(picture.name, "disc", picture.truth("square left"), settled=True)
    for state in (good, stuck):
        (action,) = actions(maker.refinement(picture, state, Random(1)))
        assert isinstance(action, Terminate)


def test_the_mask_is_seen(maker, pictures):
    picture = pictures[0]
    state = State(picture.name, "disc", picture.truth("disc"), settled=False)
    example = maker.refinement(picture, state, Random(2))
    inside, outside = example.picture[example.mask], example.picture[~example.mask]
    green = (inside[:, 1].astype(int) - inside[:, 0]).mean()
    assert green > 20
    assert abs((outside[:, 1].astype(int) - outside[:, 0]).mean()) < 1
    assert "Correct" in example.turns[0].question


def test_same_seed_same_example(maker, pictures):
    first, second = (maker.first(pictures[3], Random(9)) for _ in range(2))
    assert np.array_equal(first.picture, second.picture)
    assert [t.reply for t in first.turns] == [t.reply for t in second.turns]
