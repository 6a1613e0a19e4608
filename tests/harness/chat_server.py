"""A real HTTP server with OpenAI's chat API, which behaves and misbehaves as told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Handler", dict[str, Any]], None]


def say(content: str | None, **fields: Any) -> Behaviour:
    """Answer with a chat completion."""
    message = {"role": "assistant", "content": content, **fields}
    return send_json(200, {"choices": [{"index": 0, "message": message}]})


def send_json(status: int, answer: Any, **headers: str) -> Behaviour:
    return send(status, json.dumps(answer).encode(), **headers)


def send(status: int, body: bytes, **headers: str) -> Behaviour:
    def behave(handler: Handler, _: dict[str, Any]) -> None:
        handler.answer(status, body, headers)

    return behave


def stall(seconds: float) -> Behaviour:
    """Take the request and say nothing."""

    def behave(handler: Handler, _: dict[str, Any]) -> None:
        handler.server.released.wait(seconds)
        handler.close_connection = True

    return behave


def drop(handler: Handler, _: dict[str, Any]) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


def echo_text(handler: Handler, body: dict[str, Any]) -> None:
    """Repeat the last text of the chat, after a moment that lets requests overlap."""
    time.sleep(0.05)
    say(body["messages"][-1]["content"][-1]["text"])(handler, body)


@dataclass
class ChatServer:
    """What a test sees of the server.

    Attributes:
        url: Base of the API.
        script: Behaviours still to come; after the last one, `otherwise`.
        otherwise: Behaviour once the script is spent.
        bodies: Chat requests so far.
        headers: Their headers, names in lower case.
        busiest: Most requests that were under way at once.
    """

    url: str
    script: list[Behaviour] = field(default_factory=list)
    otherwise: Behaviour = field(default_factory=lambda: say("hello"))
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    models: Behaviour = field(default_factory=lambda: send_json(200, {"data": [{"id": "ibis"}]}))
    busiest: int = 0
    _busy: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, body: dict[str, Any], headers: dict[str, str]) -> Behaviour:
        with self._lock:
            self.bodies.append(body)
            self.headers.append(headers)
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
            return self.script.pop(0) if self.script else self.otherwise

    def release(self) -> None:
        with self._lock:
            self._busy -= 1


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.chat.models(self, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        behave = self.server.chat.take(body, headers)
        try:
            if self.path.endswith("/chat/completions"):
                behave(self, body)
            else:
                send_json(404, {"detail": "Not Found"})(self, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client went away, as it may
        finally:
            self.server.chat.release()

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    chat: ChatServer

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.released = threading.Event()


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """Run a server on a free port of this machine for the block."""
    server = Server()
    server.chat = ChatServer(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.chat
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
