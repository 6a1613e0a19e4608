"""Masks to begin with."""

from __future__ import annotations

import pytest
import torch

from ibistrain.clicks.starts import MOST_PIXELS, STARTED, draw_starts

SIDE = 64


def test_some_targets_begin_with_a_wrong_mask(generator: torch.Generator) -> None:
    targets = torch.zeros(400, SIDE, SIDE, dtype=torch.bool)
    targets[:, 20:40, 20:40] = True
    targets[1::2, 20:30] = False  # every other one is half as high
    inside = torch.ones_like(targets)
    inside[:, :, 38:] = False
    starts = draw_starts(targets & inside, 4, inside, generator)
    begun = starts.flatten(1).any(1)
    assert begun.float().mean() == pytest.approx(STARTED, abs=0.02)  # few are eroded to nothing
    assert not (starts & ~inside).any()
    sizes = starts.sum((1, 2))[begun & targets[:, 35, 25]].tolist()
    whole = 20 * 18
    assert min(sizes) < whole // 2
    assert max(sizes) > whole + 200
    assert whole in sizes  # moved
    assert whole // 2 in sizes  # another target of the picture
    rows = starts.any(2).float().argmax(1)[begun]
    assert rows.min() >= 20 - 12
    assert max(sizes) <= (20 + 2 * MOST_PIXELS) * (18 + MOST_PIXELS)


def test_a_single_target_is_enough(generator: torch.Generator) -> None:
    target = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    target[0, 20:40, 20:40] = True
    starts = draw_starts(target, 1, torch.ones_like(target), generator)
    assert starts.shape == target.shape
