"""The learning rate, by steps and by the clock."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ibistrain import pace
from ibistrain.pace import Pace

STEPS = st.integers(1, 500)
ANYTHING = SimpleNamespace()


class Clock:
    """Time as the test wants it, in minutes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.minutes = 3.0
        clock = SimpleNamespace(monotonic=lambda: 60 * self.minutes)
        monkeypatch.setattr(pace, "time", clock)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def ends(run: Pace) -> bool:
    """Whether a run ends after a step."""
    control = SimpleNamespace(should_training_stop=False)
    run.on_step_end(ANYTHING, SimpleNamespace(global_step=7), control)
    return control.should_training_stop


@given(STEPS, st.integers(0, 200))
def test_the_rate_rises_and_then_falls_to_nothing(steps: int, warmup: int) -> None:
    run = Pace(steps + warmup, warmup)
    shares = [run.share_of_rate(step) for step in range(steps + warmup + 1)]
    rise, fall = shares[:warmup], shares[warmup:]
    assert rise == sorted(rise)
    assert all(0 < share < 1 for share in rise)
    assert fall == sorted(fall, reverse=True)
    assert fall[0] == 1
    assert fall[-1] == pytest.approx(0)


@given(STEPS)
def test_the_rise_is_even_and_the_fall_half_a_cosine(steps: int) -> None:
    run = Pace(2 * steps + 9, 9)
    assert [run.share_of_rate(step) for step in range(9)] == pytest.approx(
        [0.1 * (step + 1) for step in range(9)]
    )
    assert run.share_of_rate(9 + steps) == pytest.approx(0.5)
    assert run.share_of_rate(9 + steps // 2) == pytest.approx(
        0.5 + 0.5 * math.cos(math.pi * (steps // 2) / (2 * steps))
    )


def test_a_run_may_be_all_warm_up() -> None:
    assert Pace(5, 5).share_of_rate(5) == 1
    assert Pace(5, 5).share_of_rate(6) == pytest.approx(0)


def test_without_minutes_the_clock_does_not_matter(clock: Clock) -> None:
    run = Pace(100, 10)
    run.on_train_begin(ANYTHING, ANYTHING, ANYTHING)
    before = run.share_of_rate(50)
    clock.minutes += 10_000
    assert run.share_of_rate(50) == before > 0
    assert not ends(run)


def test_before_its_begin_no_time_has_gone_by(clock: Clock) -> None:
    run = Pace(100, 10, minutes=5)
    clock.minutes += 10_000
    assert run.share_of_rate(10) == 1
    assert not ends(run)


def test_the_rate_falls_along_whichever_ends_first(clock: Clock) -> None:
    run, untimed = Pace(100, 0, minutes=10), Pace(100, 0)
    run.on_train_begin(ANYTHING, ANYTHING, ANYTHING)
    for gone, step, same_as in ((0, 30, 30), (3, 30, 30), (5, 30, 50), (9, 10, 90), (9, 95, 95)):
        clock.minutes = 3 + gone
        assert run.share_of_rate(step) == pytest.approx(untimed.share_of_rate(same_as))


def test_a_run_ends_with_its_time_and_the_rate_is_nothing_then(clock: Clock) -> None:
    run = Pace(1000, 10, minutes=10)
    run.on_train_begin(ANYTHING, ANYTHING, ANYTHING)
    clock.minutes += 9.99
    assert not ends(run)
    assert 0 < run.share_of_rate(20) < 1e-4
    clock.minutes += 0.01
    assert ends(run)
    assert run.share_of_rate(20) == pytest.approx(0)
    clock.minutes += 5
    assert run.share_of_rate(20) == pytest.approx(0)


def test_a_run_that_is_continued_has_its_time_anew(clock: Clock) -> None:
    run = Pace(1000, 10, minutes=10)
    run.on_train_begin(ANYTHING, ANYTHING, ANYTHING)
    clock.minutes += 20
    run.on_train_begin(ANYTHING, ANYTHING, ANYTHING)
    assert not ends(run)


def test_the_schedule_scales_the_optimisers_rate() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=0.3)
    run = Pace(20, 4)
    schedule = run.schedule(optimiser)
    for step in range(20):
        assert optimiser.param_groups[0]["lr"] == pytest.approx(0.3 * run.share_of_rate(step))
        optimiser.step()
        schedule.step()
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0)


def test_a_schedule_needs_an_optimiser() -> None:
    with pytest.raises(ValueError, match="optimiser"):
        Pace(5, 1).schedule(None)
