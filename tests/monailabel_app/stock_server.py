"""The app under a command and with arguments and settings of a test's choice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import requests

from demo import server
from demo.server import Server

APP = Path(__file__).resolve().parent / "obedient_app"

SERVE = (sys.executable, "-c", "from ibisagent.cli import main; main()", "serve")
"""What the script `ibisagent serve` runs."""


class StockServer(Server):
    """A server that nobody told where to listen, unless the arguments do.

    Args:
        studies: Folder of images, or the address of a DICOMweb server.
        log: File for what the server writes; its folder becomes the working directory.
        conf: ``--conf`` keys and values.
        arguments: More arguments of the command.
        settings: Environment variables.
        alive: Address that answers without a token.
        command: MONAI Label's own, or `SERVE`.
    """

    def __init__(
        self,
        studies: Path | str,
        log: Path,
        conf: Mapping[str, str],
        arguments: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
        alive: str = "/openapi.json",
        command: Sequence[str] = server.COMMAND,
    ) -> None:
        super().__init__(Path(), log, APP, conf)
        self._where = str(studies)
        self._arguments = list(arguments)
        self._settings = dict(settings or {})
        self._alive = alive
        self._command = list(command)
        self.port = 0

    def _launch(self) -> None:
        self.port = server._free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [*self._command, "--app", str(APP), "--studies", self._where]
        command += ["--port", str(self.port), *self._arguments]
        for key, value in self._conf.items():
            command += ["--conf", key, value]
        own = {"MONAI_LABEL_SESSION_PATH": str(self._log.parent / "sessions"), **self._settings}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._log.parent,
                env={**os.environ, **server._ENVIRONMENT, **own},
                start_new_session=True,
            )

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}{self._alive}", timeout=5).ok
        except requests.RequestException:
            return False
