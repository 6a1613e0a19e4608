"""Servers that answer, answer wrongly, or do not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from ibisagent.doctor_reach import check_endpoint, check_server
from ibisagent.finding import Level


class Server(HTTPServer):
    """Answers every request with `answer`, and keeps the last token."""

    answer: tuple[int, Any] = (200, {})
    token: str | None = None
    path: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.token, self.server.path = self.headers["Authorization"], self.path
        status, answer = self.server.answer
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def test_an_endpoint_with_the_model(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IBISAGENT_API_KEY", "secret")
    server.answer = (200, {"data": [{"id": "ibis"}]})
    finding = check_endpoint(f"{server.url}/v1#ibis")
    assert finding.level is Level.OK
    assert (server.path, server.token) == ("/v1/models", "Bearer secret")
    assert "secret" not in str(finding)


def test_an_endpoint_without_the_model_names_what_it_has(server: Server) -> None:
    server.answer = (200, {"data": [{"id": "other"}]})
    finding = check_endpoint(f"{server.url}/v1#ibis")
    assert finding.level is Level.FAIL
    assert "other" in finding.fix


@pytest.mark.parametrize(
    "answer", [(500, {}), (401, {}), (200, b"<html>"), (200, []), (200, {"data": [1]})]
)
def test_an_endpoint_that_answers_wrongly(server: Server, answer: tuple[int, Any]) -> None:
    server.answer = answer
    finding = check_endpoint(f"{server.url}/v1#ibis")
    assert finding.level is Level.FAIL
    assert "does not list its models" in finding.detail


def test_an_endpoint_that_is_not_there_or_malformed() -> None:
    for address in ("http://127.0.0.1:9/v1#ibis", "nonsense"):
        finding = check_endpoint(address)
        assert finding.level is Level.FAIL
        assert finding.fix


def test_our_app_is_recognised(server: Server) -> None:
    server.answer = (200, {"name": "IBISAgent", "models": {"ibisagent": {}}})
    assert check_server(f"{server.url}/").level is Level.OK
    assert server.path == "/info/"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, {"models": {"deepedit": {}}}), "another app (deepedit)"),
        ((200, {"models": {}}), "without models"),
        ((200, b"<html>"), "another kind"),
        ((404, {}), "status 404"),
    ],
)
def test_something_else_is_not(server: Server, answer: tuple[int, Any], words: str) -> None:
    server.answer = answer
    finding = check_server(server.url)
    assert finding.level is Level.FAIL
    assert words in finding.detail


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense", "http://[", ""])
def test_no_server_is_a_failure(url: str) -> None:
    assert check_server(url).level is Level.FAIL
