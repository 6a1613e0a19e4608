"""The search is judged against an oracle that knows where the target is."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibisagent.propagation.key_slices import ends, finer, gaps, grid, open_slices, stride

COUNTS = st.integers(1, 200)
STEPS = st.integers(1, 40)


def test_stride_is_in_millimetres() -> None:
    assert stride(24.0, 3.0) == 8
    assert stride(24.0, 5.0) == 5
    assert stride(24.0, 60.0) == 1


@settings(deadline=None)  # machines that test are busy
@given(COUNTS, STEPS)
def test_grid_spans_the_volume_without_wider_steps(count: int, step: int) -> None:
    slices = grid(count, step)
    assert slices == sorted(set(slices))
    assert (slices[0], slices[-1]) == (0, count - 1)
    assert all(high - low <= step for low, high in pairwise(slices))


@settings(deadline=None)  # machines that test are busy
@given(COUNTS, STEPS, st.integers(1, 10))
def test_what_is_absent_is_sought_down_to_the_finest_step(count: int, step: int, least: int):
    found = dict.fromkeys(grid(count, step), False)
    while places := finer(found, count, least):
        assert not found.keys() & set(places)
        found.update(dict.fromkeys(places, False))
    looked_at = sorted(found)
    assert all(b - a <= max(least, 1) for a, b in pairwise(looked_at))


def follow_ends(present: set[int], found: dict[int, bool], count: int, step: int, absences: int):
    """Ask the oracle until all ends are known; returns the number of slices asked."""
    asked = 0
    while places := ends(found, count, step, absences):
        assert not found.keys() & set(places)
        assert asked + len(places) <= count
        found.update({index: index in present for index in places})
        asked += len(places)
    return asked


@st.composite
def searches(draw) -> tuple[set[int], int, int, int]:
    count, step = draw(COUNTS), draw(STEPS)
    first = draw(st.integers(0, count - 1))
    after = draw(st.integers(first + 1, count))
    return set(range(first, after)), count, step, draw(st.integers(1, 3))


@settings(deadline=None)  # machines that test are busy
@given(searches())
def test_the_ends_of_one_stretch_are_found_from_the_grid(search) -> None:
    present, count, step, absences = search
    found = {index: index in present for index in grid(count, step)}
    if not any(found.values()):
        found[min(present)] = True
    follow_ends(present, found, count, step, absences)
    shown = [index for index, there in found.items() if there]
    assert (min(shown), max(shown)) == (min(present), max(present))
    assert all(high - low <= step for low, high in gaps(found))


@settings(deadline=None)  # machines that test are busy
@given(searches())
def test_the_ends_are_found_from_any_slice(search) -> None:
    present, count, step, absences = search
    found = {sorted(present)[len(present) // 2]: True}
    follow_ends(present, found, count, step, absences)
    shown = [index for index, there in found.items() if there]
    assert (min(shown), max(shown)) == (min(present), max(present))


@settings(deadline=None)  # machines that test are busy
@given(st.sets(st.integers(0, 60)), STEPS, st.integers(1, 3))
def test_every_end_is_certain_for_any_target(present: set[int], step: int, absences: int) -> None:
    count = 61
    found = {index: index in present for index in grid(count, step)}
    follow_ends(present, found, count, step, absences)
    for index in (index for index, there in found.items() if there):
        for sense in (-1, 1):
            beyond = [i for i in range(index, -1 if sense < 0 else count, sense) if i in found][1:]
            if not beyond or found[beyond[0]]:
                continue  # the volume's end, or a gap that masks are carried over
            certain = [index + sense * away for away in range(1, absences + 1)]
            for near in certain:
                if not 0 <= near < count or found[near]:
                    break
                assert found[near] is False


@settings(deadline=None)  # machines that test are busy
@given(searches())
def test_the_bound_of_what_is_left_holds_and_ends_at_zero(search) -> None:
    """Every slice in a gap is looked at as well, by the tool."""
    present, count, step, absences = search
    found = {sorted(present)[0]: True}
    left = open_slices(found, count, step, absences)
    while True:
        places = ends(found, count, step, absences) or [low + 1 for low, _ in gaps(found)]
        if not places:
            break
        found.update({index: index in present for index in places})
        now = open_slices(found, count, step, absences)
        assert now <= left - len(places) + 2 * absences  # an end may need to be made certain
        left = now
    assert left == 0


def test_one_false_absence_is_seen_through() -> None:
    present = set(range(10, 30)) - {30}
    found = {12: True, 20: False, 28: True}  # 20 is wrong
    follow_ends(present, found, 40, 8, absences=2)
    assert found[19]
    assert found[21]
    assert gaps(found)


@pytest.mark.parametrize(("absences", "expected"), [(1, []), (2, [6]), (3, [6])])
def test_absences_in_a_row_make_an_end(absences: int, expected: list[int]) -> None:
    found = {index: True for index in range(5)} | {5: False, 9: False}
    assert ends(found, 10, 4, absences) == expected
