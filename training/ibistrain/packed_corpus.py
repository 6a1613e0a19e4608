"""A corpus in one file, to be trained from on a machine that does not have the images.

A zip archive: ``index.json`` tells what each picture is, ``00000.webp`` is the picture and
``00000.png`` its label ids. Only the training side of the split is ever packed.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError

from ibisagent.errors import InvalidManifest
from ibisagent.output import make_folder, write_whole
from ibistrain.catalogue import Catalogue
from ibistrain.labelled_picture import LabelledPicture

INDEX = "index.json"
FORMAT = "ibistrain-corpus/1"


class _Picture(BaseModel):
    """All of a `LabelledPicture` but its pixels."""

    model_config = ConfigDict(extra="forbid")

    set_name: str
    subject: str
    name: str
    targets: dict[str, tuple[int, ...]]
    flip: bool


class _Index(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: str
    pictures: list[_Picture]


def pack(path: Path, pictures: Sequence[LabelledPicture], quality: int | None = None) -> None:
    """Write pictures, as a whole or not at all.

    Args:
        path: The archive.
        pictures: The training side of a corpus.
        quality: 1 to 100, of lossy pictures; None keeps every pixel as it is. Labels are exact.

    Raises:
        OutputNotWritable: The folder is closed, or the disk is full.
    """
    make_folder(path.parent)
    entries = [_Picture(**{n: getattr(p, n) for n in _Picture.model_fields}) for p in pictures]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(INDEX, _Index(format=FORMAT, pictures=entries).model_dump_json())
        for number, picture in enumerate(pictures):
            pixels: dict[str, Any] = {"quality": quality} if quality else {"lossless": True}
            archive.writestr(f"{number:05d}.webp", _encoded(picture.rgb, "WEBP", **pixels))
            archive.writestr(f"{number:05d}.png", _encoded(picture.labels, "PNG"))
    write_whole(path, file.getvalue())


def training_pictures(data: Path, catalogue: Catalogue) -> list[LabelledPicture]:
    """The training side of labelled sets, from their folder or from a packed corpus.

    Args:
        data: Folder with one folder a set, or a file that `pack` wrote.
        catalogue: Which sets of a folder, and how; a packed corpus brings its own.
    """
    if data.is_file():
        return unpack(data)
    from ibistrain.corpus import load_corpus  # brings image readers, which a packed corpus spares

    return load_corpus(data, catalogue)


def unpack(path: Path) -> list[LabelledPicture]:
    """Read what `pack` wrote.

    Raises:
        InvalidManifest: The file is damaged or something else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            index = _Index.model_validate(json.loads(archive.read(INDEX)))
            if index.format != FORMAT:
                raise ValueError(f"its format is {index.format!r}")
            return [_picture(archive, n, entry) for n, entry in enumerate(index.pictures)]
    except (OSError, KeyError, ValueError, ValidationError, zipfile.BadZipFile) as error:
        raise InvalidManifest(
            f"The packed corpus '{path}' cannot be used: {str(error).splitlines()[0]}.",
            "Write it again with: ibistrain pack, or give the folder of the sets.",
        ) from error


def _picture(archive: zipfile.ZipFile, number: int, entry: _Picture) -> LabelledPicture:
    rgb = _decoded(archive.read(f"{number:05d}.webp"), "RGB")
    labels = _decoded(archive.read(f"{number:05d}.png"), "L")
    if rgb.shape[:2] != labels.shape:
        raise ValueError(f"picture {number} and its labels differ in size")
    return LabelledPicture(**dict(entry), rgb=rgb, labels=labels)


def _encoded(pixels: Any, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def _decoded(data: bytes, mode: str) -> Any:
    return np.array(Image.open(io.BytesIO(data)).convert(mode))
