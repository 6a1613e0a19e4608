"""Fixtures that every test folder shares."""

from __future__ import annotations

import locale
import os
from pathlib import Path

import pytest

# The machine that tests has few cores, and a pool of threads in each process only gets in the way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]
LOCALE = locale.setlocale(locale.LC_ALL)


@pytest.fixture(autouse=True)
def _locale() -> None:
    """Each test has the process's own locale: ITK's DICOM writer leaves the locale C behind."""
    locale.setlocale(locale.LC_ALL, LOCALE)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of labelled images; set IBISAGENT_DATA to move it."""
    folder = Path(os.environ.get("IBISAGENT_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"labelled images are not at {folder}; set IBISAGENT_DATA to their folder")
    return folder
