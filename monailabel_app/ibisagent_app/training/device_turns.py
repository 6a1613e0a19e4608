"""One device, two processes: inference and training take turns.

A training goes on for hours, and who asks the agent meanwhile should not wait for its end. So
the trainer holds the device's lock for a step at a time, and gives way where somebody waits.
On a CPU nothing is locked: the operating system shares it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock

from ibisagent.torch_device import resolve_device

_POLL_SECONDS = 0.02
_MOST_PATIENCE = 120.0
"""Seconds after which somebody who waits is taken for dead."""


class DeviceTurns:
    """The lock of a device, shared by all processes of an app.

    Args:
        folder: Where the lock lies; made if missing.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self._folder = folder
        self._device = device
        self._resolved: torch.device | None = None
        self._lock = FileLock(folder / "device.lock")
        self._waiting = folder / "device.waiting"

    @property
    def shared(self) -> bool:
        """Whether there is anything to take turns at."""
        if self._resolved is None:
            self._resolved = resolve_device(self._device)
        return self._resolved.type != "cpu"

    @contextmanager
    def inference(self) -> Iterator[None]:
        """The device, after the trainer's present step at the latest."""
        if not self.shared:
            yield
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._waiting.touch()
        try:
            with self._lock.acquire(poll_interval=_POLL_SECONDS):
                self._waiting.unlink(missing_ok=True)
                yield
        finally:
            self._waiting.unlink(missing_ok=True)

    @contextmanager
    def training(self) -> Iterator[None]:
        """The device for training; `give_way` lets others in between."""
        if not self.shared:
            yield
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._lock.acquire(poll_interval=_POLL_SECONDS):
            yield

    def give_way(self) -> None:
        """Between two steps of training: let whoever waits use the device."""
        if not self.shared or not self._waiting.exists() or not self._lock.is_locked:
            return
        self._lock.release()
        until = time.monotonic() + _MOST_PATIENCE
        while self._waiting.exists() and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
        self._waiting.unlink(missing_ok=True)
        self._lock.acquire(poll_interval=_POLL_SECONDS)
