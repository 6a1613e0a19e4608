"""Is the picture whole? ITK does not always say.

Measured with SimpleITK 2.5: a JPEG or BMP that ends early reads without an error, and a TIFF
stack that ends early reads as a shorter stack. NRRD, MetaImage, PNG, DICOM and single-page TIFF
fail by themselves; NIfTI does not, and `nifti` sees to it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from ibisagent.errors import UnreadableImage


def refuse_truncated(path: Path, reader: str) -> None:
    """Raise if a picture's file ends before its pixels do.

    Args:
        path: The file.
        reader: Name of the ITK reader it is for; of some formats there is nothing to check.

    Raises:
        UnreadableImage: The file is truncated.
    """
    checks: dict[str, Callable[[Path], bool]] = {
        "JPEGImageIO": _picture_is_whole,
        "BMPImageIO": _picture_is_whole,
        "TIFFImageIO": _stack_is_whole,
    }
    check = checks.get(reader)
    if check is not None and not check(path):
        raise UnreadableImage(
            f"{path.name} is truncated or damaged: it ends before its pixels do.",
            "Copy or export the file again; the transfer was probably interrupted.",
        )


def _picture_is_whole(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            picture.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def _stack_is_whole(path: Path) -> bool:
    """Whether the chain of pages of a TIFF ends with a last page, and not with the file.

    Byte layout of plain (42) and Big (43) TIFF: TIFF 6.0, section 2, and the BigTIFF proposal.
    """
    with path.open("rb") as stream:
        order = "<" if stream.read(2) == b"II" else ">"
        (version,) = struct.unpack(f"{order}H", stream.read(2))
        start, number, pointer, entry = (8, "Q", "Q", 20) if version == 43 else (4, "H", "I", 12)
        stream.seek(start)
        seen: set[int] = set()
        try:
            while (page := _integer(stream, order + pointer)) and page not in seen:
                seen.add(page)
                stream.seek(page)
                stream.seek(_integer(stream, order + number) * entry, os.SEEK_CUR)
        except struct.error:
            return False
    return True


def _integer(stream: BinaryIO, layout: str) -> int:
    value: int = struct.unpack(layout, stream.read(struct.calcsize(layout)))[0]
    return value
