"""A run as clients see it, see ``docs/runs.md``."""

from __future__ import annotations

from enum import Enum

from pydantic import BaseModel


class State(str, Enum):
    """What a run is doing."""

    QUEUED = "queued"
    RUNNING = "running"
    RESTING = "resting"
    """All was done, or it was cancelled; an order reopens it."""
    FAILED = "failed"
    """It could not go on; an order lets it try again."""


class RunDescription(BaseModel):
    """A run as clients see it."""

    run: str
    state: State
    image: str
    prompt: str
    plane: str
    scope: str
    queue: int
    events: int
    author: str
    created: str
    seconds: float
    answer: str
    found: bool
    error: dict[str, str] | None
