from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from monailabel.utils.sessions import Sessions

from ibisagent_app.session_sweep import NOTE, PATIENCE, sweep


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(str(tmp_path / "sessions"), 3600)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.nii.gz"
    path.write_bytes(b"x")
    return path


def broken(sessions: Sessions, name: str, note: str | None, seconds_ago: float = 0) -> Path:
    folder = Path(sessions.store_path) / name
    folder.mkdir(parents=True)
    if note is not None:
        (folder / NOTE).write_text(note)
    then = time.time() - seconds_ago
    os.utime(folder, (then, then))
    return folder


def test_sessions_live_until_they_end(sessions: Sessions, image: Path) -> None:
    name, info = sessions.add_session(str(image), 600)
    assert sweep(sessions) == 0
    assert sweep(sessions, info.last_access_ts + 599) == 0
    assert sweep(sessions, info.last_access_ts + 601) == 1
    assert sessions.get_session(name) is None
    assert not Path(info.image).exists()


@pytest.mark.parametrize("note", [None, "", "{", "[1]"])
def test_folder_without_a_note_is_given_time(sessions: Sessions, note: str | None) -> None:
    young = broken(sessions, "young", note)
    old = broken(sessions, "old", note, PATIENCE + 5)
    assert sweep(sessions) == 1
    assert young.exists()
    assert not old.exists()


@pytest.mark.parametrize("note", ["{}", '{"last_access_ts": "x", "expiry": 3}'])
def test_note_that_says_nothing(sessions: Sessions, note: str) -> None:
    assert not broken(sessions, "odd", note).exists() or sweep(sessions) == 1


def test_no_sessions_yet(sessions: Sessions) -> None:
    assert sweep(sessions) == 0
