"""Files that come with a request: kept in a folder of our own for as long as they are needed.

MONAI Label puts uploads into the system's folder for temporary files and then takes paths from
there; so does everybody else, and a path by itself does not tell whose it is. Here a path counts
as an upload only while the request that brought it is being answered.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from fastapi import UploadFile

from ibisagent.errors import OutputNotWritable
from ibisagent_app.errors import UnsupportedFile

IMAGE_SUFFIXES = (
    ".nii.gz",
    ".nii",
    ".nrrd",
    ".mha",
    ".dcm",
    ".png",
    ".jpg",
    ".jpeg",
    ".tif",
    ".tiff",
    ".bmp",
)
"""Formats of one file each. Headers that name other files (.mhd, .nhdr) are not taken."""

LABEL_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".png")

DEFAULT_SUFFIX = ".nii.gz"
"""For an upload without a name, as in MONAI Label."""

_kept: set[Path] = set()
_lock = Lock()


@contextmanager
def kept(upload: UploadFile, suffixes: Sequence[str]) -> Iterator[Path]:
    """An upload as a file, which is deleted at the end of the block.

    Args:
        upload: A part of a form.
        suffixes: What its name may end in; only the suffix is taken from the name.

    Raises:
        UnsupportedFile: The name ends in something else.
        OutputNotWritable: There is no room.
    """
    suffix = suffix_of(upload.filename or f"upload{DEFAULT_SUFFIX}", suffixes)
    folder = Path(_made("ibisagent-upload-"))
    path = folder / f"upload{suffix}"  # messages show this name
    try:
        _write(upload, path)
        with _lock:
            _kept.add(path)
        yield path
    finally:
        with _lock:
            _kept.discard(path)
        shutil.rmtree(folder, ignore_errors=True)


def is_kept(path: Path) -> bool:
    """Whether a path is that of an upload whose request is being answered."""
    with _lock:
        return path in _kept


def suffix_of(name: str, suffixes: Sequence[str]) -> str:
    """How a file's name ends, in lower case.

    Raises:
        UnsupportedFile: In none of the suffixes.
    """
    for suffix in suffixes:
        if name.lower().endswith(suffix):
            return suffix
    raise UnsupportedFile(
        f"Files like {name[-40:]!r} are not taken.",
        f"Send one whose name ends in {', '.join(suffixes)}.",
    )


def _made(prefix: str) -> str:
    try:
        return tempfile.mkdtemp(prefix=prefix)  # nobody else may look into it
    except OSError as error:
        raise _no_room() from error


def _write(upload: UploadFile, path: Path) -> None:
    try:
        with path.open("wb") as stream:
            shutil.copyfileobj(upload.file, stream)
    except OSError as error:
        raise _no_room() from error


def _no_room() -> OutputNotWritable:
    return OutputNotWritable(
        "The upload could not be kept.",
        "Check free space and permissions of the server's temporary folder.",
    )
