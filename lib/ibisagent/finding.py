"""One line of what `ibisagent doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ibisagent.errors import IBISAgentError


class Level(str, Enum):
    """How much a finding matters."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What was looked at, and what to do.

    Attributes:
        name: What was looked at.
        level: ``fail`` where something that was asked for cannot work.
        detail: What was found.
        fix: What to do, with the exact command where there is one; empty where all is well.
    """

    name: str
    level: Level
    detail: str
    fix: str = ""

    @classmethod
    def of(cls, name: str, error: IBISAgentError) -> Finding:
        """A failure of the library, met while looking."""
        return cls(name, Level.FAIL, error.message, error.fix)
