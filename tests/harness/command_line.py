"""The command line, run in this process: fast, and with doubles in place of models."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ibisagent.cli import main


@dataclass
class Outcome:
    """What a command left on the terminal."""

    code: int
    out: str
    err: str

    def error(self) -> str:
        """The one line that a user's mistake gives; fails if there was more, or no mistake."""
        assert self.code == 2, self
        (line,) = self.err.strip().splitlines()
        assert line.startswith("error: "), line
        return line


class CommandLine:
    """Runs ``ibisagent`` with arguments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Outcome:
        self._monkeypatch.setattr("sys.argv", ["ibisagent", *map(str, arguments)])
        self._capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = self._capsys.readouterr()
        return Outcome(code, captured.out, captured.err)
