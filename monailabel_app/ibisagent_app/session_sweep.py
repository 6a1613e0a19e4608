"""Removing sessions that have ended, and what is left of broken ones.

MONAI Label does so when it starts and every five minutes. A session folder without its note, left
by a full disk or a kill, makes that fail, and with it the start of the server.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any

from monailabel.utils.sessions import Sessions

logger = logging.getLogger(__name__)

NOTE = "meta.info"
"""Name of the file in which MONAI Label notes what a session is."""

PATIENCE = 600
"""Seconds after which a folder without a note is no session that is being made."""


def sweep(sessions: Sessions, now: float | None = None) -> int:
    """Remove sessions that have ended and broken ones.

    Args:
        sessions: The server's.
        now: Time in seconds since 1970; None for now.

    Returns:
        How many were removed.
    """
    store, removed = Path(sessions.store_path), 0
    if not store.is_dir():
        return 0
    for folder in [each for each in store.iterdir() if each.is_dir()]:
        if _has_ended(folder, time.time() if now is None else now):
            sessions.pop(folder.name, None)
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    if removed:
        logger.info("%d sessions have ended", removed)
    return removed


def _has_ended(folder: Path, now: float) -> bool:
    note = _note(folder)
    try:
        if note is None:
            return now - folder.stat().st_mtime > PATIENCE
        last, seconds = float(note["last_access_ts"]), float(note["expiry"])
    except FileNotFoundError:  # removed meanwhile
        return False
    except (KeyError, TypeError, ValueError):
        return True
    return seconds > 0 and last + seconds < now


def _note(folder: Path) -> dict[str, Any] | None:
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) else None
