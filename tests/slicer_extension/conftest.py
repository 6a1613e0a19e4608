"""Puts the extension's folder on the path, as Slicer does, and the project's beside it."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.slicer_application import SlicerApplication
    from harness.slicer_panel import Module

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "slicer_extension" / "IBISAgent"
# The packaging test runs some of these tests once more, on the files that were packed.
sys.path[:0] = [os.environ.get("IBISAGENT_MODULE", str(SOURCE)), str(ROOT)]


@pytest.fixture(autouse=True)
def no_garbage_collection() -> Iterator[None]:
    """Keep what Qt and VTK objects of a test leave behind from being collected, ever.

    Slicer's objects refer to each other from C++ and from Python. Collected at a moment of
    Python's choosing, in the middle of Qt's events or on the worker's thread, they take the whole
    process along.
    """
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.fixture
def application(tmp_path: Path) -> Iterator[SlicerApplication]:
    """Slicer with an empty scene, without the module's panel."""
    from harness import slicer_application

    started = slicer_application.start(tmp_path)
    yield started
    started.close()


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Module]:
    """The module, opened in an empty scene."""
    from harness.slicer_panel import open_module

    with open_module(tmp_path) as opened:
        yield opened
