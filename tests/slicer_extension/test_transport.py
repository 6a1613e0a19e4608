"""Bodies come piece by piece, with any version of the library below."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from harness.misbehaving_server import misbehaving_server, send, stall, stream, unchunked

from IBISAgentLib.errors import Cancelled, ServerTimedOut
from IBISAgentLib.transport import Timeouts, Transport, pieces, pieces_within


@pytest.fixture
def server():
    with misbehaving_server() as server:
        yield server


@pytest.fixture
def transport(server):
    return Transport(server.url, timeouts=Timeouts(0.5, 0.4, 1))


@pytest.mark.parametrize("old", [False, True], ids=["urllib3 2", "urllib3 1"])
@pytest.mark.parametrize("body", [stream("one", "two", end="stall"), unchunked("one", "two")])
def test_pieces_come_as_soon_as_they_are_sent(server, transport, body, old):
    server.on("GET", "/x", body)
    with transport.open("GET", "/x") as answer:
        if old:  # whose answers cannot hand out what is there
            answer = SimpleNamespace(raw=None, url="", iter_content=answer.iter_content)
        began, found = time.monotonic(), b""
        for piece in pieces(answer):
            found += piece
            if found == b"one\ntwo\n":
                break
    assert time.monotonic() - began < 0.3


def test_a_packed_body_is_unpacked(server, transport):
    import gzip

    server.on("GET", "/x", send(200, gzip.compress(b"[1, 2]" * 1), Content_Encoding="gzip"))
    assert transport.json("GET", "/x") == [1, 2]


def test_a_body_has_a_time(server, transport):
    server.on("GET", "/x", stream(*["line"] * 50, pause=0.05))
    with transport.open("GET", "/x") as answer, pytest.raises(ServerTimedOut, match="complete"):
        list(pieces_within(answer, 0.2))


def test_waiting_for_another_attempt_ends_when_the_transport_is_closed(server):
    import threading

    transport = Transport(server.url, timeouts=Timeouts(0.5, 0.2, 1))
    server.on("GET", "/x", stall)
    failures: list[Exception] = []

    def ask() -> None:
        try:
            transport.json("GET", "/x")
        except Cancelled as error:
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while not server.requests:
        time.sleep(0.01)
    transport.close()
    thread.join(2)
    assert failures
    assert len(server.requests) == 1
