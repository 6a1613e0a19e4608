"""What is done for many masks at once is what the tool does for each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ibisagent.tools import click_merge, click_prompt
from ibisagent.tools.click_consistency import Point
from ibistrain.clicks.clicking import Clicks
from ibistrain.clicks.prompts import as_logits, merged, with_clicks, with_discs

SIDE, COUNT = 48, 12


def blobs(seed: int, empty: bool = False) -> NDArray[np.float32]:
    """Logits with regions of many sizes, also certain ones."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.normal(0, 6, (COUNT, 1, 8, 8)).astype(np.float32))
    large = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic")[:, 0].numpy()
    large += rng.normal(0, 2, large.shape).astype(np.float32)
    return np.asarray(-abs(large) - 0.1 if empty else large)


def points(seed: int) -> list[Point]:
    rng = np.random.default_rng(seed)
    places = rng.integers(0, SIDE, (COUNT, 2)).tolist()
    return [Point(row, column, bool(rng.random() < 0.6)) for row, column in places]


def as_clicks(given: list[Point]) -> Clicks:
    places = torch.tensor([point.pixel for point in given])
    return Clicks(places, torch.tensor([point.positive for point in given]))


def test_masks_become_certain_logits() -> None:
    masks = torch.tensor([[[True, False]]])
    blank = torch.from_numpy(click_prompt.blank(2))
    assert torch.equal(as_logits(masks), torch.tensor([[[-blank[0, 0], blank[0, 0]]]]))


@pytest.mark.parametrize("seed", range(4))
def test_clicks_are_drawn_as_in_use(seed: int) -> None:
    logits = blobs(seed)
    clicked = [points(100 * seed + number) for number in range(5)]
    clicked.append(clicked[0][1:] + clicked[0][:1])
    discs = torch.zeros(COUNT, SIDE, SIDE, dtype=torch.int8)
    for newest in clicked:
        discs = with_discs(discs, as_clicks(newest))
    drawn = with_clicks(torch.from_numpy(logits), discs)
    for number in range(COUNT):
        mine = [newest[number] for newest in clicked]
        assert np.array_equal(drawn[number], click_prompt.with_clicks(logits[number], mine))


@pytest.mark.parametrize("seed", range(8))
def test_masks_are_merged_as_in_use(seed: int) -> None:
    before, after = blobs(seed, empty=seed == 3), blobs(seed + 50)
    before[::4] = -1.0  # masks that are empty, beside others
    after[1] = before[1]
    newest = points(seed)
    found = merged(torch.from_numpy(before), torch.from_numpy(after), as_clicks(newest))
    for number, click in enumerate(newest):
        expected = click_merge.merge(before[number], after[number], click)
        assert np.array_equal(found[number], expected)
