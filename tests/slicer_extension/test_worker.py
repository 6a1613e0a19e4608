"""Nothing blocks the caller, nothing is lost, and everything ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
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
)

from IBISAgentLib import transport
from IBISAgentLib.client import Client
from IBISAgentLib.errors import Cancelled, ServerRefused, Unexpected
from IBISAgentLib.geometry import Grid
from IBISAgentLib.run_fields import Click, RunRequest
from IBISAgentLib.transport import Timeouts
from IBISAgentLib.upload import Snapshot
from IBISAgentLib.worker import Answered, Happened, Message, Refused, Rested, Sent, Worker

RUN = {"run": "r1", "state": "running", "image": "a", "prompt": "p"}
EVENTS = "/ibisagent/runs/r1/events"
REQUEST = RunRequest("a", "liver")


def event(seq: int, name: str = "progress") -> str:
    fields = '"answer": "Done.", "found": true, "seconds": 1' if name == "finished" else ""
    fields = fields or '"done": 1, "left": 0'
    return f'{{"seq": {seq}, "time": "now", "event": "{name}", {fields}}}'


@pytest.fixture
def server():
    with misbehaving_server() as server:
        server.on("POST", "/ibisagent/runs", send_json(RUN, 201))
        server.on("GET", "/ibisagent/runs/r1", send_json({**RUN, "state": "resting", "events": 2}))
        server.on("GET", EVENTS, stream(event(1), event(2, "finished")))
        yield server


@pytest.fixture
def worker(server: MisbehavingServer):
    worker = Worker(Client(server.url, timeouts=Timeouts(0.5, 1, 5)))
    yield worker
    assert worker.stop(6)


def wait(
    worker: Worker, enough: Callable[[list[Message]], bool], seconds: float = 5
) -> list[Message]:
    """Poll as the GUI's timer does."""
    messages: list[Message] = []
    deadline = time.monotonic() + seconds
    while not enough(messages):
        assert time.monotonic() < deadline, messages
        messages += worker.poll()
        time.sleep(0.01)
    return messages


def wait_for(worker: Worker, kind: type, seconds: float = 5) -> list[Message]:
    return wait(worker, lambda all_: any(isinstance(one, kind) for one in all_), seconds)


def snapshot() -> Snapshot:
    voxels = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    return Snapshot(voxels, Grid(np.diag([-1.0, -1.0, 2.0, 1.0]), (6, 5, 4)))


def test_a_run_is_started_and_followed_until_it_rests(worker):
    ticket = worker.start(REQUEST)
    messages = wait_for(worker, Rested)
    assert [type(one) for one in messages] == [Answered, Happened, Happened, Rested]
    answered = messages[0]
    assert (answered.ticket, answered.command, answered.value.run) == (ticket, "start", "r1")
    assert messages[-1] == Rested("r1", None)


def test_the_volume_is_sent_first_and_only_once(server, worker):
    taken = snapshot()
    server.on("PUT", f"/ibisagent/images/{taken.image}", send_json({"image": taken.image}, 201))
    worker.start(REQUEST, taken)
    messages = wait_for(worker, Rested)
    assert [one for one in messages if isinstance(one, Sent)][-1].sent > 0
    assert server.asked("POST", "/ibisagent/runs")[0].json["image"] == taken.image
    server.on("HEAD", f"/ibisagent/images/{taken.image}", send(200, b""))
    worker.start(REQUEST, taken)
    wait_for(worker, Answered)
    assert len(server.asked("PUT", f"/ibisagent/images/{taken.image}")) == 1


def test_events_go_on_after_a_click_without_one_twice(server, worker):
    server.on(
        "GET",
        EVENTS,
        stream(event(1), event(2, "finished")),
        stream(event(3), event(4, "finished")),
        stream(),
    )
    worker.start(REQUEST)
    wait_for(worker, Rested)
    server.on("POST", "/ibisagent/runs/r1/click", send_json(RUN))
    server.on("GET", "/ibisagent/runs/r1", send_json({**RUN, "state": "resting", "events": 4}))
    worker.click("r1", Click(index=1, x=0.5, y=0.5))
    messages = wait_for(worker, Rested)
    assert [one.event.seq for one in messages if isinstance(one, Happened)] == [3, 4]


def test_clicks_while_events_come_lose_nothing(server, worker):
    """A click between the last event and the end of the stream is followed up, too."""
    server.on("POST", "/ibisagent/runs/r1/click", send_json(RUN))
    count = 40
    parts = [stream(event(n, "finished")) for n in range(1, count + 1)]
    server.on("GET", EVENTS, *parts, stream())
    server.on("GET", "/ibisagent/runs/r1", send_json({**RUN, "state": "resting", "events": 1}))
    worker.follow("r1")
    seen: list[int] = []
    deadline = time.monotonic() + 20
    while len(seen) < count:
        assert time.monotonic() < deadline, seen
        worker.click("r1", Click(index=1, x=0.5, y=0.5))
        time.sleep(0.02)
        seen += [one.event.seq for one in worker.poll() if isinstance(one, Happened)]
    assert seen == list(range(1, count + 1))


def test_commands_are_answered_in_order(server, worker):
    for what in ("undo", "continue", "accept"):
        server.on("POST", f"/ibisagent/runs/r1/{what}", send_json(RUN))
    tickets = [worker.undo("r1", 3), worker.go_on("r1", 3), worker.accept("r1")]
    messages = wait(worker, lambda all_: sum(isinstance(one, Answered) for one in all_) == 3)
    assert [one.ticket for one in messages if isinstance(one, Answered)] == tickets
    assert [r.path.rsplit("/", 1)[1] for r in server.requests if r.method == "POST"] == [
        "undo",
        "continue",
        "accept",
    ]


def test_a_refusal_is_a_message(server, worker):
    server.on("POST", "/ibisagent/runs/r1/undo", refuse(409, "episode_ended"))
    ticket = worker.undo("r1", 3)
    (message,) = wait_for(worker, Refused)
    assert isinstance(message.error, ServerRefused)
    assert (message.ticket, message.command, message.error.code) == (
        ticket,
        "undo",
        "episode_ended",
    )


def test_a_mistake_of_ours_is_a_message_and_the_worker_goes_on(server, worker, caplog):
    def mistake(client: Client) -> None:
        raise ZeroDivisionError("by zero")

    worker.call("sum", mistake)
    (message,) = wait_for(worker, Refused)
    assert isinstance(message.error, Unexpected)
    assert "by zero" in message.error.message
    assert "ZeroDivisionError" in caplog.text
    worker.call("run", lambda client: client.run("r1"))
    assert wait_for(worker, Answered)[0].value.run == "r1"


def test_a_run_that_is_gone_ends_in_a_message(server, worker):
    server.on("GET", EVENTS, refuse(404, "unknown_run"))
    worker.follow("r1")
    (message,) = wait_for(worker, Rested)
    assert message.error.code == "unknown_run"


def test_calls_return_at_once_and_cancel_overtakes(server, worker):
    server.on("POST", "/ibisagent/runs/r1/undo", stall)
    server.on("POST", "/ibisagent/runs/r1/cancel", send_json(RUN))
    began = time.monotonic()
    worker.undo("r1", 3)
    worker.undo("r1", 3)
    worker.cancel("r1")
    worker.poll()
    assert time.monotonic() - began < 0.3
    (message,) = wait_for(worker, Answered, 2)
    assert message.command == "cancel"


def test_an_upload_is_aborted(server, worker):
    taken = snapshot()
    server.on("HEAD", f"/ibisagent/images/{taken.image}", stall)
    ticket = worker.start(REQUEST, taken)
    worker.abort(ticket)
    server.on("HEAD", f"/ibisagent/images/{taken.image}", drop)
    (message,) = wait_for(worker, Refused, 15)
    assert isinstance(message.error, Cancelled)
    assert not server.asked("POST", "/ibisagent/runs")


def test_a_run_that_began_too_late_to_be_aborted_is_cancelled(server, worker):
    entered, go = threading.Event(), threading.Event()

    def late(handler) -> None:
        entered.set()
        go.wait(5)
        send_json(RUN, 201)(handler)

    server.on("POST", "/ibisagent/runs", late)
    server.on("POST", "/ibisagent/runs/r1/cancel", send_json(RUN))
    ticket = worker.start(REQUEST)
    assert entered.wait(5)
    worker.abort(ticket)
    go.set()
    (message,) = wait_for(worker, Refused)
    assert isinstance(message.error, Cancelled)
    assert server.asked("POST", "/ibisagent/runs/r1/cancel")


@pytest.mark.parametrize("bad", [drop, refuse(503), send(503, b"busy")])
def test_stopping_ends_all_threads(server, bad, monkeypatch):
    monkeypatch.setattr(transport, "BACKOFF", (30.0,))
    server.on("GET", "/ibisagent/training", bad)
    server.on("GET", EVENTS, stream(event(1), end="beat"))
    before = set(threading.enumerate())
    worker = Worker(Client(server.url))
    worker.follow("r1")
    worker.call("training", Client.training)
    wait_for(worker, Happened)
    began = time.monotonic()
    assert worker.stop(2)
    assert time.monotonic() - began < 1
    assert not {one for one in set(threading.enumerate()) - before if "ibisagent" in one.name}


def test_a_stopped_worker_says_so_and_starts_nothing(server):
    worker = Worker(Client(server.url))
    assert worker.stop()
    ticket = worker.check()
    (message,) = worker.poll()
    assert (message.ticket, type(message.error)) == (ticket, Cancelled)
    worker.follow("r1")
    assert not server.requests


def test_a_cancel_that_was_asked_for_is_sent_before_the_worker_stops(server):
    server.on("POST", "/ibisagent/runs/r1/cancel", send_json(RUN))
    server.on("POST", "/ibisagent/runs/r1/undo", stall)
    worker = Worker(Client(server.url))
    worker.undo("r1", 3)
    worker.cancel("r1")
    worker.stop(1)
    assert server.asked("POST", "/ibisagent/runs/r1/cancel")


def test_stopping_does_not_wait_for_a_server_that_stalls(server):
    server.on("POST", "/ibisagent/runs/r1/undo", stall)
    worker = Worker(Client(server.url))
    worker.undo("r1", 3)
    time.sleep(0.1)
    began = time.monotonic()
    assert not worker.stop(0.2)
    assert time.monotonic() - began < 1
    assert all(thread.daemon for thread in threading.enumerate() if "ibisagent" in thread.name)


def test_polling_takes_a_bounded_number(worker):
    for _ in range(10):
        worker.call("nothing", lambda client: None)
    wait(worker, lambda all_: worker._messages.qsize() == 10)
    assert len(worker.poll(limit=4)) == 4
    assert len(worker.poll()) == 6
    assert worker.poll() == []
