from __future__ import annotations

import threading

import pytest

from ibisagent.errors import TooManyRuns
from ibisagent.runs.line import Line
from ibisagent.runs.turns import Interrupted


def test_places_beyond_those_at_work_wait_and_move_up() -> None:
    line = Line(at_once=2, waiting=2)
    places = [line.book() for _ in range(4)]
    assert [place.before for place in places] == [0, 0, 1, 2]
    line.leave(places[0])
    assert [place.before for place in places[1:]] == [0, 0, 1]


def test_full_line_refuses_and_says_what_to_do() -> None:
    line = Line(at_once=1, waiting=1)
    with line.book(), line.book():
        with pytest.raises(TooManyRuns) as caught:
            line.book()
        assert "runs_waiting" in caught.value.fix
    line.book()


def test_who_waits_is_told_every_change() -> None:
    line, told = Line(at_once=1, waiting=3), []
    first, second, third = (line.book() for _ in range(3))
    waiter = threading.Thread(target=third.wait, kwargs={"tell": told.append})
    waiter.start()
    while not told:
        pass
    line.leave(second)
    while len(told) < 2:
        pass
    line.leave(first)
    waiter.join(5)
    assert told == [2, 1, 0]


def test_place_at_work_is_told_nothing() -> None:
    told: list[int] = []
    Line(at_once=1, waiting=0).book().wait(tell=told.append)
    assert told == []


def test_who_waits_can_be_cancelled() -> None:
    line = Line(at_once=1, waiting=1)
    line.book()
    with pytest.raises(Interrupted), line.book() as place:
        place.wait(cancelled=lambda: True)
    line.book()
