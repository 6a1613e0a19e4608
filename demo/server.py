"""A MONAI Label server of this project in a process of its own, on a free loopback port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import requests

APP = Path(__file__).resolve().parents[1] / "monailabel_app"
HOST = "127.0.0.1"
COMMAND = (sys.executable, "-m", "monailabel.main", "start_server")
"""What the script `monailabel start_server` runs; an install by uv has no such script."""

_ENVIRONMENT = {
    # MONAI Label would start an MLflow file store, which current MLflow no longer has.
    "MONAI_LABEL_TRACKING_ENABLED": "false",
    # There is nothing to score here, and scoring would start a process.
    "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
}
_POLL_SECONDS = 0.2
_STOP_SECONDS = 15.0


class ServerFailed(Exception):
    """The server did not start; the message is one line, `log_tail` says more."""

    def __init__(self, message: str, log_tail: str) -> None:
        super().__init__(message)
        self.log_tail = log_tail


class Server:
    """Starts on entering a ``with`` block and is always stopped on leaving it.

    Args:
        studies: Folder of images.
        log: File for everything the server writes; its folder becomes the working directory.
        app: Folder of the app.
        conf: ``--conf`` keys and values.
        timeout: Seconds it may take to answer.
        on_wait: Called about five times a second while it starts, with the seconds so far.

    Attributes:
        url: Its address.
        start_seconds: What the start took.
    """

    def __init__(
        self,
        studies: Path,
        log: Path,
        app: Path = APP,
        conf: Mapping[str, str] | None = None,
        timeout: float = 600.0,
        on_wait: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._studies, self._log, self._app = studies.resolve(), log.resolve(), app.resolve()
        self._conf = dict(conf or {})
        self._timeout = timeout
        self._on_wait = on_wait
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.start_seconds = 0.0

    @property
    def pid(self) -> int:
        """Process of the server."""
        if self._process is None:
            raise RuntimeError("the server has not been started")
        return self._process.pid

    def __enter__(self) -> Server:
        began = time.perf_counter()
        try:
            self._launch()
            while not self._answers():
                seconds = time.perf_counter() - began
                self._check_alive(seconds)
                self._on_wait(seconds)
                time.sleep(_POLL_SECONDS)
        except BaseException:  # Ctrl-C while it starts must not leave it behind
            self.stop()
            raise
        self.start_seconds = time.perf_counter() - began
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server and whatever it has started; nothing is left running."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        _signal(process, "SIGTERM")
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _signal(process, "SIGKILL")
            process.wait()

    def log_tail(self, lines: int = 20) -> str:
        """The end of what the server wrote."""
        if not self._log.is_file():
            return ""
        text = self._log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _launch(self) -> None:
        port = _free_port()
        self.url = f"http://{HOST}:{port}"
        command = [*COMMAND, "--app", str(self._app), "--studies", str(self._studies)]
        command += ["--host", HOST, "--port", str(port)]
        for key, value in self._conf.items():
            command += ["--conf", key, value]
        sessions = self._log.parent / "sessions"
        environment = {**os.environ, **_ENVIRONMENT, "MONAI_LABEL_SESSION_PATH": str(sessions)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._log.parent,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches us alone, and we stop the server
            )

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/info/", timeout=5).ok
        except requests.RequestException:
            return False

    def _check_alive(self, seconds: float) -> None:
        process = self._process
        code = process.poll() if process else None
        if code is not None:
            raise ServerFailed(f"The server ended with code {code}.", self.log_tail())
        if seconds > self._timeout:
            raise ServerFailed(
                f"The server did not answer within {self._timeout:.0f} s.", self.log_tail()
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _signal(process: subprocess.Popen[bytes], name: str) -> None:
    """To the server's whole group, since trainers are processes of their own."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, getattr(signal, name))
    elif name == "SIGTERM":
        process.terminate()
    else:
        process.kill()
