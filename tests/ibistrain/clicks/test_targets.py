"""What is asked for, and where it is clicked."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from ibisagent.tools.base import Mask
from ibisagent.tools.litemedsam_net import SIDE
from ibistrain.clicks import targets
from ibistrain.clicks.embedded_pictures import EmbeddedPicture
from ibistrain.clicks.targets import draw_click, draw_start, draw_target


def square(top: int, left: int, side: int) -> Mask:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def picture(labels: bool = True, regions: bool = True) -> EmbeddedPicture:
    ids = np.zeros((SIDE, SIDE), np.uint8)
    if labels:
        ids[square(20, 20, 30) | square(100, 100, 20)] = 1
        ids[square(150, 40, 25)] = 2
    found = square(200, 200, 40)[None] if regions else np.zeros((0, SIDE, SIDE), bool)
    embedding = np.zeros((1, 1, 1), np.float16)
    return EmbeddedPicture(embedding, ids, found, (SIDE, SIDE), ((1,), (2,), (3,)))


def test_targets_are_labels_their_unions_parts_and_regions() -> None:
    rng, seen = Random(0), set()
    for _ in range(200):
        target = draw_target(picture(), rng)
        assert target is not None
        seen.add(int(target.sum()))
    both, large, small, second, region = 900 + 400, 900, 400, 625, 1600
    assert {both, large, small, second, region, both + second} == seen


def test_a_picture_without_labels_and_regions_has_no_target() -> None:
    assert draw_target(picture(labels=False, regions=False), Random(0)) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_click_corrects_the_larger_error(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "WRONG", 0.0)
    target, mask = square(50, 50, 60), square(50, 90, 60)
    click = draw_click(target, mask | square(5, 5, 8), Random(seed))
    assert click is not None
    assert (target & ~mask)[click.pixel] == click.positive
    spilled = draw_click(square(0, 0, 10), square(0, 0, 10) | square(100, 100, 50), Random(seed))
    assert spilled is not None
    assert not spilled.positive
    assert square(100, 100, 50)[spilled.pixel]


def test_now_and_then_a_click_is_wrong() -> None:
    target, nothing, rng = square(50, 50, 60), square(0, 0, 0), Random(0)
    signs = [draw_click(target, nothing, rng) for _ in range(600)]
    wrong = sum(not click.positive for click in signs if click)
    assert 0.01 < wrong / len(signs) < 0.09


def test_a_right_mask_needs_no_click() -> None:
    assert draw_click(square(9, 9, 9), square(9, 9, 9), Random(0)) is None


def test_starting_masks_are_of_several_kinds() -> None:
    rng, target = Random(0), square(100, 100, 30)
    sizes = {int(draw_start(target, picture(), rng).sum()) for _ in range(60)}
    assert min(sizes) < 900 < max(sizes)
