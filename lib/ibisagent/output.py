"""Results on disk: a file is there whole or not at all, and what is there is not lost."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from ibisagent.errors import OutputNotWritable


def make_folder(path: Path) -> None:
    """Make a folder for results, with its parents, and try whether it can be written to.

    Raises:
        OutputNotWritable: The path, or a parent, is a file; or the folder may not be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except (OSError, ValueError) as error:
        raise _not_writable(path, error) from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place, then move it there.

    Raises:
        OutputNotWritable: The folder is missing or closed, or the disk is full.
    """
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):  # the place itself may be what is wrong
            partial.unlink()
        raise _not_writable(path, error) from error


def _not_writable(path: Path, error: Exception) -> OutputNotWritable:
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        reason = "a file stands where a folder would have to be"
    return OutputNotWritable(
        f"{path} could not be written: {reason}.",
        "Give a folder that may be written to, on a disk with free space.",
    )
