"""Passes bytes between a client and a real server, and cuts connections as told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class CuttingRelay:
    """What a test sees of the relay.

    Attributes:
        url: Address to use instead of the server's.
        cuts: For each connection to come, after how many bytes of the answer it is cut; the
            connections after these are whole.
        connections: How many there were.
    """

    url: str = ""
    cuts: list[int] = field(default_factory=list)
    connections: int = 0


@contextmanager
def cutting_relay(target: str) -> Iterator[CuttingRelay]:
    """Relay to the server at `target` for the block."""
    parts = urlsplit(target)
    server = (parts.hostname or "", parts.port or 80)
    relay = CuttingRelay()
    listener = socket.create_server(("127.0.0.1", 0))
    relay.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    accepting = threading.Thread(target=_accept, args=(listener, server, relay), daemon=True)
    accepting.start()
    try:
        yield relay
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        listener.close()
        accepting.join()


def _accept(listener: socket.socket, server: tuple[str, int], relay: CuttingRelay) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:  # closed: the test is over
            return
        relay.connections += 1
        limit = relay.cuts.pop(0) if relay.cuts else None
        upstream = socket.create_connection(server)
        for args in ((client, upstream, None), (upstream, client, limit)):
            threading.Thread(target=_pass, args=args, daemon=True).start()


def _pass(source: socket.socket, target: socket.socket, limit: int | None) -> None:
    """Copy until one side ends or `limit` bytes are through; then end both."""
    passed = 0
    with suppress(OSError):
        while limit is None or passed < limit:
            data = source.recv(2**16 if limit is None else min(2**16, limit - passed))
            if not data:
                break
            target.sendall(data)
            passed += len(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
