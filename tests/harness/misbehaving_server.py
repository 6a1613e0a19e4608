"""A real HTTP server that answers as told: rightly, wrongly, slowly, half, or not at all.

For each address a test lays out behaviours; they are used one after the other, the last one for
all further requests.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Behaviour = Callable[["Handler"], None]


def send(status: int, body: bytes, kind: str = "application/json", **headers: str) -> Behaviour:
    """Answer with a body; underscores in the headers' names stand for hyphens."""

    def behave(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return behave


def send_json(answer: Any, status: int = 200, **headers: str) -> Behaviour:
    return send(status, json.dumps(answer).encode(), **headers)


def refuse(status: int, code: str = "some_code") -> Behaviour:
    """Answer with an error as the project's server writes it."""
    return send_json({"detail": {"code": code, "message": "It failed.", "fix": "Mend it."}}, status)


def redirect(target: str, status: int = 307) -> Behaviour:
    return send(status, b"", Location=target)


def drop(handler: Handler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


def drop_midway(handler: Handler) -> None:
    """Promise more than is sent."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"version": "1')
    handler.close_connection = True


def stall(handler: Handler) -> None:
    """Take the request and say nothing until the test is over."""
    handler.server.released.wait(30)
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """A byte now and then, without an end."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.server.released.wait(0.05):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def stream(*lines: str | bytes, end: str = "end", pause: float = 0.0) -> Behaviour:
    """NDJSON in chunks, a line at a time.

    Args:
        lines: Without line feeds at the end.
        end: ``end`` closes rightly, ``drop`` in the middle of a line, ``stall`` says no more,
            ``beat`` sends blank lines until the test is over.
        pause: Seconds before each line.
    """

    def behave(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/x-ndjson")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for line in lines:
            handler.server.released.wait(pause)
            handler.chunk((line.encode() if isinstance(line, str) else line) + b"\n")
        _END[end](handler)

    return behave


def unchunked(*lines: str, then: Behaviour | None = None) -> Behaviour:
    """NDJSON that ends with the connection, as old proxies pass it on."""

    def behave(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        for line in lines:
            handler.wfile.write(line.encode() + b"\n")
            handler.wfile.flush()
        if then is not None:
            then(handler)
        handler.close_connection = True

    return behave


def _close(handler: Handler) -> None:
    handler.wfile.write(b"0\r\n\r\n")


def _cut(handler: Handler) -> None:
    handler.chunk(b'{"seq": 1, "ev')
    handler.close_connection = True


def _beat(handler: Handler) -> None:
    while not handler.server.released.wait(0.05):
        handler.chunk(b"\n")


_END: dict[str, Behaviour] = {"end": _close, "drop": _cut, "stall": stall, "beat": _beat}


@dataclass(frozen=True)
class Request:
    """One request that came.

    Attributes:
        query: As given in the address.
        headers: Names in lower case.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class MisbehavingServer:
    """What a test sees of the server.

    Attributes:
        url: Its address.
        requests: All that came, oldest first.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    _scripts: dict[tuple[str, str], list[Behaviour]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on(self, method: str, path: str, *behaviours: Behaviour) -> None:
        """Lay out how an address answers from now on."""
        with self._lock:
            self._scripts[method, path] = list(behaviours)

    def asked(self, method: str, path: str) -> list[Request]:
        """Requests of an address so far."""
        with self._lock:
            return [r for r in self.requests if (r.method, r.path) == (method, path)]

    def take(self, request: Request) -> Behaviour:
        with self._lock:
            self.requests.append(request)
            script = self._scripts.get((request.method, request.path))
            if not script:
                return send_json({"detail": "Not Found"}, 404)
            return script.pop(0) if len(script) > 1 else script[0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listener

    def answer(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
        try:
            self.server.script.take(request)(self)
        except (BrokenPipeError, ConnectionResetError):  # the client has had enough
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - http.server's names

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def log_message(self, *args: Any) -> None:
        """Tests are quiet."""


class Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, script: MisbehavingServer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = script
        self.released = threading.Event()


@contextmanager
def misbehaving_server(certificate: Path | None = None) -> Iterator[MisbehavingServer]:
    """Run a server on a free port of this machine for the block.

    Args:
        certificate: File with certificate and key, for TLS.
    """
    script = MisbehavingServer()
    listener = Listener(script)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
    scheme = "http" if certificate is None else "https"
    script.url = f"{scheme}://127.0.0.1:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        listener.released.set()
        listener.shutdown()
        listener.server_close()
        thread.join()
