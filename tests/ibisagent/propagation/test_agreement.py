from __future__ import annotations

import numpy as np
import pytest
from harness.fake_tool import disc

from ibisagent.propagation.agreement import LAXEST, STRICTEST, doubt, least_overlap
from ibisagent.propagation.carry import Carried
from ibisagent.propagation.ledger import Key
from ibisagent.propagation.settings import PropagationSettings
from ibisagent.tools.base import Segmentation

SHAPE = (40, 40)
SETTINGS = PropagationSettings()
MASK = disc(SHAPE, 20, 20, 8)
AREA = int(MASK.sum())


def key(score: float | None = 0.8, area: int = AREA) -> Key:
    return Key(MASK, score, area)


def carried(mask: np.ndarray, score: float = 0.8, agreement: float = 0.9) -> Carried:
    return Carried(MASK, (), Segmentation(mask, score), agreement, mask, 0.0)


def judged(found: Carried, keys: tuple[Key, Key] = (key(), key()), mm: float = 3.0) -> str:
    return doubt(found, MASK, keys, mm, SETTINGS)


def test_what_looks_like_its_neighbours_is_trusted() -> None:
    assert judged(carried(MASK)) == ""


def test_disagreement_with_what_was_expected() -> None:
    why = judged(carried(MASK, agreement=0.41))
    assert why == "IoU of tool and expected mask 0.41, below 0.70."


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
    ("score", "of_keys", "trusted"),
    [
        (0.8, (0.8, 0.9), True),
        (0.5, (0.8, 0.9), False),
        (0.5, (0.9, 0.6), True),  # the lower one counts
        (0.2, (0.25, 0.25), False),  # below what any mask must have
        (0.4, (None, None), True),  # drawn by a person
        (0.4, (None, 0.9), False),
    ],
)
def test_the_score_is_compared_with_the_key_slices(score, of_keys, trusted) -> None:
    why = judged(carried(MASK, score), (key(of_keys[0]), key(of_keys[1])))
    assert (why == "") is trusted
    assert trusted or why.startswith("The tool's score")


def test_areas_are_bounded_by_those_of_both_key_slices() -> None:
    grown = carried(disc(SHAPE, 20, 20, 10))
    assert judged(grown, (key(), key(area=2 * AREA))) == ""
    assert "pixels, on the key slices" in judged(grown, (key(area=AREA // 2), key()))
