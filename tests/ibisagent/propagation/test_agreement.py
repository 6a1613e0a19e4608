from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from harness.fake_tool import disc

from ibisagent.propagation.agreement import LAXEST, STRICTEST, Standing, doubt, least_overlap
from ibisagent.propagation.carry import Carried
from ibisagent.propagation.settings import PropagationSettings
from ibisagent.tools.base import Segmentation

SHAPE = (40, 40)
SETTINGS = PropagationSettings()
MASK = disc(SHAPE, 20, 20, 8)
KEY = Standing(MASK, 0, 0.8, int(MASK.sum()))


def carried(mask: np.ndarray, score: float = 0.8, agreement: float = 0.9) -> Carried:
    return Carried(MASK, (), Segmentation(mask, score), agreement)


def judged(found: Carried, near: Standing = KEY, far: Standing = KEY, mm: float = 3.0) -> str:
    return doubt(found, near, far, mm, SETTINGS)


def test_what_looks_like_its_neighbours_is_trusted() -> None:
    assert judged(carried(MASK)) == ""


def test_disagreement_with_what_was_expected() -> None:
    assert judged(carried(MASK, agreement=0.41)).startswith("IoU with the expected mask 0.41")


def test_a_jump_to_another_place() -> None:
    assert judged(carried(disc(SHAPE, 20, 30, 8))).startswith("IoU with the neighbouring slice")


def test_overlap_is_judged_by_the_distance_of_slices() -> None:
    moved = carried(disc(SHAPE, 20, 23, 8))  # IoU 0.61
    assert judged(moved, mm=3.0) == ""
    assert judged(moved, mm=1.0) != ""
    smaller = carried(disc(SHAPE, 20, 23, 7))  # IoU 0.54
    assert judged(smaller, mm=3.0) != ""
    assert judged(smaller, mm=5.0) == ""


def test_least_overlap_falls_with_distance_within_bounds() -> None:
    overlaps = [least_overlap(mm, SETTINGS) for mm in (0.1, 1, 2, 3, 5, 8, 50)]
    assert overlaps == sorted(overlaps, reverse=True)
    assert (overlaps[0], overlaps[3], overlaps[-1]) == (STRICTEST, SETTINGS.min_overlap, LAXEST)


@pytest.mark.parametrize(
    ("score", "key_score", "trusted"),
    [(0.8, 0.8, True), (0.5, 0.8, False), (0.5, 0.6, True), (0.2, 0.25, False), (0.4, None, True)],
)
def test_the_score_is_compared_with_the_key_slice(score, key_score, trusted) -> None:
    why = judged(carried(MASK, score), near=replace(KEY, key_score=key_score))
    assert (why == "") is trusted
    assert trusted or why.startswith("The tool's score")


def test_areas_are_bounded_by_those_of_both_key_slices() -> None:
    grown = carried(disc(SHAPE, 20, 20, 10))
    half = replace(KEY, key_area=int(MASK.sum()) // 2)
    double = replace(KEY, key_area=2 * int(MASK.sum()))
    assert judged(grown, near=Standing(MASK, 3, 0.8, KEY.key_area), far=double) == ""
    assert "pixels, on the key slices" in judged(grown, near=half, far=KEY)
