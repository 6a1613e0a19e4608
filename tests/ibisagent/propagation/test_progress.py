from __future__ import annotations

import pytest

from ibisagent.propagation import progress
from ibisagent.propagation.progress import MEMORY, Pace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """Moves the clock that `Pace` reads."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


def test_nothing_is_claimed_before_anything_was_measured(clock) -> None:
    assert Pace().seconds(10) is None


def test_a_batch_is_shared_by_its_slices(clock) -> None:
    pace = Pace()
    clock(8.0)
    pace.settled(4)
    assert pace.seconds(10) == pytest.approx(20.0)


def test_one_slow_slice_does_not_count(clock) -> None:
    pace = Pace()
    for seconds in (60.0, 2.0, 2.0):
        clock(seconds)
        pace.settled(1)
    assert pace.seconds(5) == pytest.approx(10.0)


def test_a_lasting_change_is_noticed(clock) -> None:
    pace = Pace()
    for seconds in [1.0] * 50 + [4.0] * (MEMORY // 2 + 1):
        clock(seconds)
        pace.settled(1)
    assert pace.seconds(2) == pytest.approx(8.0)


def test_time_in_which_nothing_was_settled_counts_for_the_next_slice(clock) -> None:
    pace = Pace()
    clock(3.0)
    pace.settled(0)
    clock(1.0)
    pace.settled(1)
    assert pace.seconds(1) == pytest.approx(4.0)
