"""Which server, and whether it may get images."""

from __future__ import annotations

import pytest
from harness.misbehaving_server import misbehaving_server, send_json
from harness.slicer_panel import slicer  # noqa: F401

from IBISAgentLib.connection import Connection, ConsentMissing, NotConnected
from IBISAgentLib.errors import InvalidAddress
from IBISAgentLib.run_fields import ServerInfo

INFO = ServerInfo("0.1.0", "ibisagent-events/1")


@pytest.fixture
def connection():
    made = Connection()
    yield made
    made.close()


def test_nothing_is_ready_before_a_server_has_answered(connection: Connection) -> None:
    with pytest.raises(NotConnected, match="No server is connected"):
        connection.ready()
    with misbehaving_server() as server:
        server.on("GET", "/ibisagent/info", send_json({}))
        connection.connect(server.url)
        with pytest.raises(NotConnected):
            connection.ready()
        connection.close()


def test_an_address_that_is_none_is_refused(connection: Connection) -> None:
    with pytest.raises(InvalidAddress):
        connection.connect("ftp://x")


def test_the_same_server_keeps_its_worker(connection: Connection) -> None:
    connection.connect("127.0.0.1:9")
    worker = connection.worker
    connection.connect("http://127.0.0.1:9/")
    assert connection.worker is worker
    connection.connect("http://127.0.0.1:9/", token="secret")
    assert connection.worker is not worker


def test_only_loopback_needs_no_consent(connection: Connection) -> None:
    connection.connect("http://127.0.0.1:9")
    connection.heard(INFO)
    assert connection.ready() is connection.worker
    connection.connect("http://192.0.2.7:9")
    connection.heard(INFO)
    with pytest.raises(ConsentMissing, match=r"192\.0\.2\.7"):
        connection.ready()
    assert connection.connected() is connection.worker
    connection.agree()
    assert connection.ready() is connection.worker
    connection.connect("http://192.0.2.8:9")
    connection.heard(INFO)
    assert connection.consent_needed(), "consent is for one server"


def test_nobody_answers(connection: Connection) -> None:
    connection.connect("http://127.0.0.1:9")
    assert connection.waiting
    connection.failed(InvalidAddress("a", "b"))
    assert not connection.waiting
    assert connection.info is None
