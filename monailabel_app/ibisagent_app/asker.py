"""Who asks for an inference: MONAI Label's own functions, between route and task, drop it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Asker:
    """Who asks, and whether they still wait for the answer.

    Attributes:
        name: Of the user.
        gone: Whether the connection has ended.
    """

    name: str = "user"
    gone: Callable[[], bool] = lambda: False


_asker: ContextVar[Asker | None] = ContextVar("asker", default=None)


def current_asker() -> Asker:
    """Who asks; somebody without a name outside of `asked_by`."""
    return _asker.get() or Asker()


@contextmanager
def asked_by(asker: Asker) -> Iterator[None]:
    """Whatever is done in the block, in this thread, is done for somebody."""
    token = _asker.set(asker)
    try:
        yield
    finally:
        _asker.reset(token)
