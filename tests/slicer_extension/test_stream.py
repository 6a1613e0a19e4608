"""No event is lost, doubled or out of order, whatever the connection does."""

from __future__ import annotations

import json
import threading
import time

import pytest
from harness.misbehaving_server import (
    MisbehavingServer,
    drop,
    misbehaving_server,
    refuse,
    send,
    send_json,
    stall,
    stream,
    unchunked,
)

from IBISAgentLib.client import Client
from IBISAgentLib.errors import (
    EventsLost,
    NotAuthorised,
    ServerRefused,
    ServerUnreachable,
    UnreadableAnswer,
    WrongVersion,
)
from IBISAgentLib.stream import EventStream, Patience

EVENTS = "/ibisagent/runs/r1/events"
HASTY = Patience(heartbeat=0.3, backoff=0.01, longest=0.02, give_up=1.0, poll=0.01)
RESTING = {"run": "r1", "state": "resting", "image": "a", "prompt": "p", "events": 4}


def line(seq: int, event: str = "progress", **fields: object) -> str:
    extra = {
        "progress": {"done": seq, "left": 0},
        "finished": {"answer": "Done.", "found": True, "seconds": 1.0},
    }.get(event, {})
    return json.dumps({"seq": seq, "time": "now", "event": event} | extra | fields)


FOUR = [line(1), line(2), line(3), line(4, "finished")]


@pytest.fixture
def server():
    with misbehaving_server() as server:
        server.on("GET", "/ibisagent/runs/r1", send_json(RESTING))
        yield server


def events(server: MisbehavingServer, since: int = 0) -> EventStream:
    return EventStream(Client(server.url), "r1", since, HASTY)


def numbers(stream: EventStream) -> list[int]:
    return [event.seq for event in stream]


def test_all_events_until_the_run_rests(server):
    server.on("GET", EVENTS, stream(*FOUR))
    assert numbers(events(server)) == [1, 2, 3, 4]
    (request,) = server.asked("GET", EVENTS)
    assert request.query == {"since": "0", "follow": "true"}


def test_events_come_as_they_are_sent(server):
    server.on("GET", EVENTS, stream(line(1), end="beat"))
    began = time.monotonic()
    assert next(iter(events(server))).seq == 1
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("first", [unchunked(*FOUR), unchunked(*FOUR[:1], then=stall)])
def test_events_without_chunks_come_as_they_are_sent(server, first):
    server.on("GET", EVENTS, first, unchunked(*FOUR[1:]))
    stream = iter(events(server))
    began = time.monotonic()
    assert next(stream).seq == 1
    assert time.monotonic() - began < 0.25
    assert [event.seq for event in stream] == [2, 3, 4]


@pytest.mark.parametrize(
    "bad",
    [
        stream(*FOUR[:2], end="drop"),
        stream(*FOUR[:2], end="stall"),
        stream(*FOUR[:2]),
        stream(*FOUR[:2], '{"seq": 3, "event"'),
        stream(*FOUR[:2], "<html>"),
        stream(*FOUR[:2], b"\xff\xfe\x00"),
        stream(*FOUR[:2], line(4, "finished")),
        unchunked(*FOUR[:2], '{"seq": 3'),
    ],
    ids=["dropped", "stalled", "ended", "half", "html", "bytes", "gap", "cut"],
)
def test_a_broken_stream_is_taken_up_after_the_last_event(server, bad):
    server.on("GET", EVENTS, bad, stream(*FOUR[2:]))
    assert numbers(events(server)) == [1, 2, 3, 4]
    assert [r.query["since"] for r in server.asked("GET", EVENTS)] == ["0", "2"]


@pytest.mark.parametrize(
    "bad", [drop, stall, send(500, b"x"), refuse(503), send(200, b"<html>", "text/html")]
)
def test_a_failed_connection_is_tried_again(server, bad):
    server.on("GET", EVENTS, bad, stream(*FOUR))
    assert numbers(events(server)) == [1, 2, 3, 4]


def test_events_that_come_twice_are_told_once(server):
    server.on("GET", EVENTS, stream(FOUR[0], FOUR[0], FOUR[1], FOUR[0], *FOUR[2:]))
    assert numbers(events(server)) == [1, 2, 3, 4]


def test_unknown_events_are_passed_over(server):
    server.on("GET", EVENTS, stream(FOUR[0], line(2, "sneezed"), *FOUR[2:]))
    assert numbers(events(server)) == [1, 3, 4]


def test_a_run_that_rests_already(server):
    server.on("GET", EVENTS, stream())
    assert numbers(events(server, since=4)) == []


def test_a_stream_that_ends_early_goes_on_while_the_run_does(server):
    server.on("GET", "/ibisagent/runs/r1", send_json(RESTING | {"state": "running"}))
    server.on("GET", EVENTS, stream(), stream(FOUR[0]), stream(), stream(*FOUR[1:]))
    assert numbers(events(server)) == [1, 2, 3, 4]


def test_where_nothing_comes_through_it_polls(server):
    """As behind a proxy that holds an answer back until it ends."""
    server.on("GET", "/ibisagent/runs/r1", send_json(RESTING | {"events": 5}))
    server.on(
        "GET",
        EVENTS,
        stall,
        stall,
        stream(*FOUR[:2]),
        stream(),
        stream(FOUR[2], line(4, "finished")),
    )
    assert numbers(events(server)) == [1, 2, 3, 4]
    follow = [request.query["follow"] for request in server.asked("GET", EVENTS)]
    assert follow == ["true", "true", "false", "false", "false"]


@pytest.mark.parametrize(
    ("bad", "kind", "times"),
    [
        (refuse(404, "unknown_run"), ServerRefused, 1),
        (refuse(401), NotAuthorised, 1),
        (stream(line(1, "started", format="ibisagent-events/2")), WrongVersion, 1),
        (stream("{}"), UnreadableAnswer, 4),
        (stream(line(5)), EventsLost, 4),
    ],
)
def test_what_will_not_pass_is_told(server, bad, kind, times):
    server.on("GET", EVENTS, bad)
    with pytest.raises(kind):
        numbers(events(server))
    assert len(server.asked("GET", EVENTS)) == times


def test_a_server_that_stays_away_is_given_up(server):
    server.on("GET", EVENTS, stream(FOUR[0], end="drop"), drop)
    stream_ = events(server)
    began = time.monotonic()
    with pytest.raises(ServerUnreachable):
        numbers(stream_)
    assert 0.9 < time.monotonic() - began < 4
    assert stream_.last == 1


def test_a_line_without_end_is_refused(server, monkeypatch):
    monkeypatch.setattr("IBISAgentLib.stream.MAX_LINE_BYTES", 1000)
    server.on("GET", EVENTS, stream("x" * 2000))
    with pytest.raises(UnreadableAnswer):
        numbers(events(server))


def test_a_long_line_is_read_quickly(server):
    server.on("GET", EVENTS, unchunked(line(1, "finished", answer="x" * 5_000_000)))
    began = time.monotonic()
    (event,) = events(server)
    assert len(event.answer) == 5_000_000
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("end", ["beat", "stall"])
def test_cancelling_takes_effect_at_once(server, end):
    server.on("GET", EVENTS, stream(FOUR[0], end=end))
    stream_ = EventStream(Client(server.url), "r1", 0, Patience(heartbeat=20))
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.extend(numbers(stream_)))
    reader.start()
    while not stream_.last:
        time.sleep(0.01)
    began = time.monotonic()
    stream_.cancel()
    reader.join(5)
    assert time.monotonic() - began < 0.5
    assert seen == [1]


def test_cancelling_ends_waiting_for_the_next_attempt(server):
    server.on("GET", EVENTS, drop)
    stream_ = EventStream(Client(server.url), "r1", 0, Patience(backoff=30))
    reader = threading.Thread(target=lambda: numbers(stream_))
    reader.start()
    while not server.asked("GET", EVENTS):
        time.sleep(0.01)
    stream_.cancel()
    reader.join(2)
    assert not reader.is_alive()


def test_a_cancelled_stream_asks_nothing(server):
    stream_ = events(server)
    stream_.cancel()
    assert numbers(stream_) == []
    assert not server.requests
