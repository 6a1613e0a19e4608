"""A hub whose repositories are already in the cache of this machine, and which is offline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_in_cache(
    monkeypatch: pytest.MonkeyPatch,
    cache: Path,
    name: str,
    write: Callable[[Path], object],
    subfolder: str = "",
) -> Path:
    """Let ``owner/model`` be in the hub's cache, as its own library lays it out.

    Args:
        monkeypatch: Points the hub's library to the cache and takes it off the network.
        cache: Folder for the cache.
        name: ``owner/model``.
        write: Writes the checkpoint into the folder it is given.
        subfolder: Of the repository.

    Returns:
        Folder of the checkpoint.
    """
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    folder = repository / "snapshots" / COMMIT / subfolder
    folder.mkdir(parents=True)
    write(folder)
    return folder
