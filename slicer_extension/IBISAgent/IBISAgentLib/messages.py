"""What the worker's threads have to say to the GUI."""

from __future__ import annotations

import logging
import typing
from dataclasses import dataclass

from .errors import ClientError, Unexpected
from .protocol import Event

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
    """A command was carried out.

    Attributes:
        ticket: What the command's function returned.
        command: Its name: check, start, click, undo, go_on, cancel, accept, mask, ...
        value: What the function of `Client` returned; of ``start`` the `RunDescription`.
    """

    ticket: int
    command: str
    value: typing.Any


@dataclass(frozen=True)
class Refused:
    """A command failed; `error` says why, and what to do."""

    ticket: int
    command: str
    error: ClientError


@dataclass(frozen=True)
class Sent:
    """How far the upload of a command is, in bytes."""

    ticket: int
    sent: int
    total: int


@dataclass(frozen=True)
class Happened:
    """An event of a run, in order and without gaps."""

    run: str
    event: Event


@dataclass(frozen=True)
class Rested:
    """No more events of a run for now.

    Attributes:
        error: None where the run rests; else why it can be watched no longer.
    """

    run: str
    error: ClientError | None


Message = Answered | Refused | Sent | Happened | Rested


def as_client_error(error: Exception) -> ClientError:
    """Any exception as one that can be shown; our own mistakes are logged in full."""
    if isinstance(error, ClientError):
        return error
    logger.error("an unexpected failure", exc_info=error)
    return Unexpected(
        f"Something unexpected happened ({type(error).__name__}: {error}).",
        "The log of Slicer has the details; please report them.",
    )
