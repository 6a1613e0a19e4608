"""Files on their way to the server and back."""

from __future__ import annotations

import os
import tempfile
import typing
from collections.abc import Callable
from pathlib import Path

from .transport import pieces_within

if typing.TYPE_CHECKING:
    import requests

OnSent = Callable[[int, int], None]
"""Told bytes sent and bytes in all; may raise `Cancelled` to stop the upload."""


class CountedFile:
    """A file that tells how much of it was read; with a length, so that it is sent as one."""

    def __init__(self, file: typing.BinaryIO, size: int, on_sent: OnSent | None) -> None:
        self._file, self._size, self._on_sent = file, size, on_sent

    def __len__(self) -> int:
        return self._size

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, amount: int = -1) -> bytes:
        piece = self._file.read(amount)
        if self._on_sent is not None:
            self._on_sent(self._file.tell(), self._size)
        return piece


def keep(answer: requests.Response, path: Path, seconds: float) -> Path:
    """Write an answer's body to a file, whole or not at all.

    Args:
        answer: Open.
        path: The file.
        seconds: For all of it.

    Raises:
        ServerUnreachable: It broke off, or took too long.
    """
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=".part-", suffix=path.suffix)
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in pieces_within(answer, seconds):
                file.write(piece)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    return path


def suffix_of(path: Path) -> str:
    """Such as ``.nrrd``, or ``.nii.gz``."""
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def file_name(answer: requests.Response, otherwise: str) -> str:
    """The name in the answer's header, without anything that could lead to another folder."""
    from email.message import Message

    header = Message()
    header["Content-Disposition"] = answer.headers.get("Content-Disposition", "")
    name = Path((header.get_filename() or otherwise).replace("\\", "/")).name
    return name if name.strip(". ") else "image"
