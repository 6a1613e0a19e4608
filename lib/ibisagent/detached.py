"""Headers that name other files: where an image's voxels may lie, and where not.

NRRD (``data file:``) and MetaImage (``ElementDataFile =``) let a header point at any file of the
machine, whatever the suffix, and ITK follows: a small text file that somebody sent would read out
the studies of others. The rule here goes by suffix. ``.nrrd`` and ``.mha`` are files of one part
and must hold their voxels themselves; ``.nhdr`` and ``.mhd`` are headers by name, and may name
files of their own folder. Servers take files of one part only.

Source: NRRD 5 file format definition, section 5 (detached headers); MetaIO documentation,
``ElementDataFile``. Both readers are more lenient than their documents, so that everything that
looks like such a field counts as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from ibisagent.errors import DetachedData, UnreadableImage

HEADER_SUFFIXES = (".nhdr", ".mhd")
"""Suffixes under which the voxels may lie in other files, of the same folder."""

MAX_HEADER = 2**24
"""Bytes; headers are a few kilobytes."""

_NRRD_FIELD = re.compile(rb"data\s*file\s*:(?!=)([^\n]*)", re.IGNORECASE)
_META_FIELD = re.compile(rb"ElementDataFile\s*[=:]([^\n]*)", re.IGNORECASE)
_IN_THIS_FILE = b"local"
_LIST = b"list"


def refuse_detached(path: Path, reader: str) -> None:
    """Raise if a header names files that it may not name.

    Args:
        path: The file.
        reader: Name of the ITK reader it is for; only two of them follow such names.

    Raises:
        DetachedData: The voxels are elsewhere and the suffix promises one file, or they are not
            beside their header.
        UnreadableImage: The header does not end.
        OSError: The file cannot be read.
    """
    if reader not in ("NrrdImageIO", "MetaImageIO"):
        return
    text = _start(path)
    names = list(_of_nrrd(text) if reader == "NrrdImageIO" else _of_meta(text))
    if names and path.suffix.lower() not in HEADER_SUFFIXES:
        raise DetachedData(
            f"{path.name} holds no voxels, but the name of another file.",
            "Save the image as one file, for example as .nii.gz.",
        )
    if not all(_is_plain(name) for name in names):
        raise DetachedData(
            f"{path.name} names a file in another folder.",
            "Put the file with the voxels beside its header and name it without a folder.",
        )


def _start(path: Path) -> bytes:
    """What may be the header, with one kind of line ends; the readers know all three."""
    with path.open("rb") as stream:
        start = stream.read(MAX_HEADER)
    return start.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _of_nrrd(text: bytes) -> Iterator[bytes]:
    """Names in an NRRD header, which ends with an empty line, or with the file."""
    header, end, rest = text.partition(b"\n\n")
    if not end and len(text) >= MAX_HEADER:
        raise _endless()
    for field in _NRRD_FIELD.finditer(header):
        value = field[1].strip()
        if value.lower().startswith(_LIST):  # of names: the rest of the header, or what follows it
            yield from header[field.end() :].split(b"\n") + rest.split(b"\n")
        yield value


def _of_meta(text: bytes) -> Iterator[bytes]:
    """Names in a MetaImage header; the field with the name is its last."""
    fields = list(_META_FIELD.finditer(text))
    if not fields and len(text) >= MAX_HEADER:
        raise _endless()
    for field in fields:
        value = field[1].strip()
        if value.lower() == _IN_THIS_FILE:
            continue
        if value.lower().startswith(_LIST):
            yield from text[field.end() :].split(b"\n")
        yield value


def _is_plain(name: bytes) -> bool:
    """Whether a name stays in the folder, on any system."""
    text = name.strip().decode("utf-8", "replace").removeprefix("./")
    drive = PureWindowsPath(text).drive
    return not ({"/", "\\", "\x00"} & set(text) or drive or text == "..")


def _endless() -> UnreadableImage:
    return UnreadableImage("The image's header does not end.", "Export the image again.")
