"""Where simulated people click."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ibisagent.tools.click_consistency import depth
from ibistrain.clicks.clicking import (
    ANYWHERE,
    EXACT,
    NEAR_CENTRE,
    Clicks,
    draw_clicks,
    draw_shares,
    first_pixels,
    mistaken,
)

SIDE = 128


def square(top: int, left: int, side: int) -> Tensor:
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[top : top + side, left : left + side] = True
    return mask


def held(masks: Tensor, clicks: Clicks) -> Tensor:
    """Whether clicks are in their masks."""
    return masks[torch.arange(len(masks)), clicks.places[:, 0], clicks.places[:, 1]]


def test_a_click_corrects_the_larger_error(generator: torch.Generator) -> None:
    wanted = square(25, 25, 40)
    missed = (wanted, square(25, 45, 40) | square(3, 3, 5))
    spilled = (wanted, wanted | square(80, 70, 30))
    count = 40
    for (target, mask), positive in ((missed, True), (spilled, False)):
        targets, masks = target.expand(count, -1, -1), mask.expand(count, -1, -1)
        shares = draw_shares(count, False, generator)
        clicks, wrong = draw_clicks(targets, masks, shares, generator)
        assert wrong.all()
        assert (clicks.positive == positive).all()
        assert held(targets & ~masks if positive else masks & ~targets, clicks).all()


def test_careful_people_click_at_the_deepest_point(generator: torch.Generator) -> None:
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.normal(0, 1, (10, 1, 6, 6)).astype(np.float32))
    targets = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic")[:, 0] > 0.3
    nothing = torch.zeros_like(targets)
    clicks, _ = draw_clicks(targets, nothing, torch.ones(10), generator)
    for target, place in zip(targets.numpy(), clicks.places.tolist(), strict=True):
        deep = depth(target)
        assert deep[tuple(place)] >= deep.max() - 3  # by the halved resolution


def test_careless_people_click_anywhere_in_the_target(generator: torch.Generator) -> None:
    targets = square(30, 30, 60).expand(300, -1, -1)
    clicks, _ = draw_clicks(targets, torch.zeros_like(targets), torch.zeros(300), generator)
    assert held(targets, clicks).all()
    assert clicks.places.amin() < 35
    assert clicks.places.amax() > 85


def test_thin_errors_are_clicked_too(generator: torch.Generator) -> None:
    target = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    target[0, 61, 7:50] = True
    clicks, wrong = draw_clicks(target, torch.zeros_like(target), torch.ones(1), generator)
    assert wrong.all()
    assert held(target, clicks).all()


def test_a_right_mask_needs_no_click(generator: torch.Generator) -> None:
    targets = torch.stack([square(9, 9, 9), square(9, 9, 9)])
    masks = torch.stack([square(9, 9, 9), square(9, 9, 8)])
    clicks, wrong = draw_clicks(targets, masks, torch.ones(2), generator)
    assert wrong.tolist() == [False, True]
    last = Clicks(torch.tensor([[5, 6], [7, 8]]), torch.tensor([False, False]))
    kept = clicks.where(wrong, last)
    assert kept.places[0].tolist() == [5, 6]
    assert not kept.positive[0]
    assert kept.positive[1]


def test_first_pixels_lie_in_their_targets() -> None:
    targets = torch.stack([square(9, 20, 5), square(100, 3, 9)])
    clicks = first_pixels(targets)
    assert clicks.places.tolist() == [[9, 20], [100, 3]]
    assert clicks.positive.all()


@pytest.mark.parametrize("first", [False, True])
def test_people_are_more_or_less_careful(first: bool, generator: torch.Generator) -> None:
    shares = draw_shares(4000, first, generator)
    anywhere = ANYWHERE if first else 0
    assert (shares == 0).float().mean() == pytest.approx(anywhere, abs=0.02)
    assert (shares == 1).float().mean() == pytest.approx(EXACT * (1 - anywhere), abs=0.03)
    others = shares[(shares > 0) & (shares < 1)]
    assert others.min() >= NEAR_CENTRE[0]
    assert others.max() <= NEAR_CENTRE[1]


def test_now_and_then_a_click_is_wrong(generator: torch.Generator) -> None:
    signs = torch.ones(3000, dtype=torch.bool)
    found = mistaken(Clicks(torch.zeros(3000, 2, dtype=torch.int64), signs), generator)
    assert 0.02 < (~found.positive).float().mean() < 0.06
