"""Durations are said shortly."""

from __future__ import annotations

import pytest
from harness.slicer_panel import slicer  # noqa: F401

from IBISAgentLib.status import duration, sending


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3600, "1 h 00 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_sending_without_a_size() -> None:
    assert sending(0, 0) == "Sending the volume"
