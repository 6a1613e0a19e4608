"""Makes `demo`, which is no installed package, importable; stands in for the slow server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from demo import server  # noqa: E402

STAND_IN = """
import http.server, json, os, signal, subprocess, sys, time
port = int(sys.argv[sys.argv.index("--port") + 1])

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(200, {{}})

    def do_POST(self):
        {post}

{start}
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""

StandIn = Callable[..., Path]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Replaces MONAI Label, whose imports take most of a start, by a process that is as told."""

    def replace(start: str = "pass", post: str = "self.answer(200, {})") -> Path:
        script = tmp_path / "stand_in.py"
        script.write_text(STAND_IN.format(start=start, post=post))
        monkeypatch.setattr(server, "COMMAND", (sys.executable, str(script)))
        return script

    return replace
