from __future__ import annotations

from random import Random

from ibisagent.metrics import iou
from ibistrain.imagined import imagine


def test_about_half_are_good_and_the_rest_are_wrong_in_several_ways(pictures):
    ious, missing, spilled, elsewhere, specks = [], 0, 0, 0, 0
    for seed in range(200):
        picture = pictures[seed % 6]
        state = imagine(picture, Random(seed))
        truth = picture.truth(state.target)
        assert state.mask.any()
        ious.append(iou(state.mask, truth))
        if ious[-1] < 0.8:
            missing += not (state.mask & ~truth).any()
            spilled += not (truth & ~state.mask).any()
            elsewhere += not (truth & state.mask).any()
            specks += ious[-1] < 0.2 and not (state.mask & ~truth).any()
    assert 0.35 < sum(value >= 0.8 for value in ious) / 200 < 0.75
    assert min(missing, spilled, elsewhere, specks) >= 3


def test_same_seed_same_state(pictures):
    first, second = (imagine(pictures[0], Random(4)) for _ in range(2))
    assert first.target == second.target
    assert (first.mask == second.mask).all()
