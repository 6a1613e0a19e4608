"""The mask that a click fits to is chosen."""

from __future__ import annotations

import numpy as np
import pytest

from ibisagent.tools.base import Mask
from ibisagent.tools.click_consistency import Logits, Point
from ibisagent.tools.mask_choice import Candidate, agreement, centrality, choose, stability

SIZE = (60, 60)
NOTHING: Mask = np.zeros(SIZE, dtype=bool)


def disc(row: int, column: int, radius: float) -> Mask:
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    mask: Mask = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return mask


def logits(mask: Mask, sure: float = 5.0) -> Logits:
    return np.where(mask, sure, -sure).astype(np.float32)


@pytest.mark.parametrize(
    ("after", "before", "click", "expected"),
    [
        (disc(30, 30, 9), NOTHING, Point(30, 30, True), 1.0),  # the middle of what is wanted
        (disc(30, 30, 9), NOTHING, Point(50, 50, True), 0.0),  # not even inside
        (NOTHING, disc(30, 30, 9), Point(30, 30, False), 1.0),  # all of it is too much
        (disc(30, 30, 9), disc(30, 30, 9), Point(30, 30, True), 0.0),  # nothing is wrong
        (disc(20, 20, 9), disc(40, 40, 9), Point(20, 20, True), 1.0),  # replaced by an equal
    ],
)
def test_centrality(after: Mask, before: Mask, click: Point, expected: float) -> None:
    assert centrality(after, before, click) == pytest.approx(expected)


def test_a_click_off_the_middle_fits_less_well() -> None:
    wanted = disc(30, 30, 12)
    fits = [centrality(wanted, NOTHING, Point(30, 30 + off, True)) for off in range(12)]
    assert fits == sorted(fits, reverse=True)
    assert fits[0] > 2 * fits[9]


def test_a_click_beside_a_larger_error_fits_badly() -> None:
    before, after = disc(30, 15, 12), disc(30, 45, 4)
    assert centrality(after, before, Point(30, 45, True)) < 0.5


def test_stability_tells_sharp_from_vague_masks() -> None:
    rows, columns = np.mgrid[:60, :60]
    distance = np.hypot(rows - 30, columns - 30)
    sharp, vague = ((10 - distance) * slope for slope in (2.0, 0.2))
    assert 0 < stability(vague) < stability(sharp) < 1
    assert stability(logits(NOTHING)) == 0


def test_agreement_finds_the_family_and_the_stranger() -> None:
    family = [disc(30, 30, radius) for radius in (9, 9.5, 10, 10.5)]
    found = agreement(np.stack([*family, disc(10, 10, 5)]))
    assert found[:4].min() > 0.7
    assert found[4] == 0


def test_a_single_change_agrees_with_nothing() -> None:
    assert agreement(np.stack([disc(30, 30, 5)])).tolist() == [0]


def test_the_mask_in_whose_middle_the_click_is_wins() -> None:
    candidates = [Candidate(logits(disc(30, 30 + off, 10)), 0.9, 0.9) for off in (8, 0, 4)]
    chosen, plausibility = choose(candidates, NOTHING, Point(30, 30, True))
    assert np.array_equal(chosen > 0, disc(30, 30, 10))
    assert 0 < plausibility <= 1


def test_of_equal_places_the_surer_mask_wins() -> None:
    candidates = [
        Candidate(logits(disc(30, 30, 8)), 0.9, 0.2),
        Candidate(logits(disc(30, 30, 9)), 0.9, 0.8),
    ]
    chosen, _ = choose(candidates, NOTHING, Point(30, 30, True))
    assert np.array_equal(chosen > 0, disc(30, 30, 9))
