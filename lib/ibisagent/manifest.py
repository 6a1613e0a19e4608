"""Labelled data sets: a manifest names the images, their labels and their files.

A manifest is JSON with ``name`` and ``items``. Each item has an ``image`` and one of

- ``label``: an integer image; ids are named in ``labels`` of the item or of the manifest. The
  id ``>0`` names everything that is not background (an instance map taken as one target);
- ``masks``: name -> binary image, or several that are joined;
- ``labels`` as a list of binary images, named by the list ``labels`` of the manifest.

It may name its ``subject``; else that is read off the file name (`ibisagent.subjects`).

File names are relative to the manifest's folder. Images are 2D pictures, 3D volumes, or folders
of one DICOM series.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from ibisagent.errors import InvalidManifest
from ibisagent.subjects import HELD_BACK, is_held_back, subject_of
from ibisagent.volume import read_image

_ANY_LABEL = ">0"
_HELD_OUT = "HELDOUT"


class _ItemFields(BaseModel):
    image: str
    label: str | None = None
    masks: dict[str, str | list[str]] | None = None
    labels: dict[str, str] | list[str] | None = None
    split: str = ""
    subject: str = ""


class _ManifestFields(BaseModel):
    name: str
    labels: dict[str, str] | list[str] | str = ""
    items: list[_ItemFields]


@dataclass(frozen=True)
class Source:
    """Where the truth of one label is kept.

    Attributes:
        files: Label images of equal size; the truth is their union.
        value: The label's id in them, or None for everything above 0.
    """

    files: tuple[Path, ...]
    value: int | None = None


@dataclass(frozen=True)
class Item:
    """One labelled image.

    Attributes:
        set_name: Name of its data set.
        name: Name of the image: its file name without extension.
        image: The image file, or a folder with one DICOM series.
        sources: Label name -> where its truth is kept. The label may be absent from the image.
        subject: Who is on the image; unique within the set.
        held_out: Whether the manifest says that no training may see it.
    """

    set_name: str
    name: str
    image: Path
    sources: Mapping[str, Source]
    subject: str
    held_out: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Names that may be asked for, in the manifest's order."""
        return tuple(self.sources)

    def is_held_back(self, fraction: float = HELD_BACK) -> bool:
        """Whether training must not see this item; see `ibisagent.subjects.is_held_back`."""
        return self.held_out or is_held_back(self.set_name, self.subject, fraction)

    def read(self) -> Truths:
        """Read the label images.

        Raises:
            UnreadableImage: A label image is damaged or in no known format.
            UnsupportedImage: A label image is in colour, or has more than three dimensions.
        """
        files = {file for source in self.sources.values() for file in source.files}
        return Truths(self, {file: _read_labels(file) for file in files})


@dataclass(frozen=True, eq=False)
class Truths:
    """The label images of an item, in memory.

    Attributes:
        item: Whose they are.
        arrays: File -> integer array, axes (k, j, i), or (row, column) for a picture.
    """

    item: Item
    arrays: Mapping[Path, NDArray[Any]]

    def __getitem__(self, label: str) -> NDArray[np.bool_]:
        """The truth of one label, axes as those of the image."""
        source = self.item.sources[label]
        parts = (self.arrays[file] for file in source.files)
        masks = [part > 0 if source.value is None else part == source.value for part in parts]
        return np.asarray(np.logical_or.reduce(masks), dtype=bool)

    @property
    def present(self) -> tuple[str, ...]:
        """Labels that mark at least one voxel."""
        values = {file: frozenset(np.unique(array).tolist()) for file, array in self.arrays.items()}
        return tuple(
            label
            for label, source in self.item.sources.items()
            if any(_marks(values[file], source.value) for file in source.files)
        )


@dataclass(frozen=True)
class Manifest:
    """A labelled data set.

    Attributes:
        name: Name of the set.
        items: Its images, in the order of the file.
    """

    name: str
    items: tuple[Item, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of all items' labels, each once, in order of appearance."""
        return tuple(dict.fromkeys(label for item in self.items for label in item.labels))

    def targets(self) -> Iterator[tuple[Item, str]]:
        """Each item with each label that is present in it; label images are read on the way."""
        for item in self.items:
            for label in item.read().present:
                yield item, label


def load_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Args:
        path: The manifest, or the folder that holds it as ``manifest.json``.

    Raises:
        InvalidManifest: The file is missing or not JSON, misses a field, names a file that is
            not there, or has labels that cannot be told apart.
    """
    path = path / "manifest.json" if path.is_dir() else path
    try:
        fields = _ManifestFields.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, ValidationError) as error:
        raise InvalidManifest(
            f"{path} is not a readable manifest: {_reason(error)}.",
            "Give a JSON file with name and items; each item has an image and a label or masks.",
        ) from error
    return Manifest(fields.name, tuple(_item(path.parent, fields, item) for item in fields.items))


def _item(folder: Path, manifest: _ManifestFields, fields: _ItemFields) -> Item:
    image = _existing(folder, fields.image)
    name = image.name.partition(".")[0]
    return Item(
        set_name=manifest.name,
        name=name,
        image=image,
        sources=_sources(folder, manifest, fields),
        subject=fields.subject or subject_of(manifest.name, name),
        held_out=fields.split == _HELD_OUT,
    )


def _sources(folder: Path, manifest: _ManifestFields, fields: _ItemFields) -> dict[str, Source]:
    if fields.masks is not None:
        return {name: Source(_files(folder, files)) for name, files in fields.masks.items()}
    if fields.label is not None:
        names = fields.labels or manifest.labels
        if isinstance(names, dict):
            files = _files(folder, fields.label)
            return {_plain(name): Source(files, _value(key)) for key, name in names.items()}
    elif isinstance(fields.labels, list) and len(fields.labels) == len(manifest.labels):
        pairs = zip(manifest.labels, fields.labels, strict=True)
        return {name: Source(_files(folder, file)) for name, file in pairs}
    raise InvalidManifest(
        f"The item {fields.image} of {manifest.name} has no labels that can be read.",
        "Give it 'label' with 'labels' (id -> name), or 'masks' (name -> file).",
    )


def _files(folder: Path, names: str | Sequence[str]) -> tuple[Path, ...]:
    return tuple(_existing(folder, name) for name in ([names] if isinstance(names, str) else names))


def _existing(folder: Path, name: str) -> Path:
    if not (folder / name).exists():
        raise InvalidManifest(
            f"The manifest names {name}, which is not in {folder}.",
            "Keep the manifest beside its folders; unpack the data set again if files are gone.",
        )
    return folder / name


def _value(key: str) -> int | None:
    if key == _ANY_LABEL:
        return None
    if not key.isdecimal() or int(key) == 0:
        raise InvalidManifest(
            f"The label id {key!r} is neither a positive number nor '{_ANY_LABEL}'.",
            "Give ids of the label image as keys of 'labels'.",
        )
    return int(key)


def _plain(name: str) -> str:
    """A label's name without a remark in brackets: "nucleus (instance id)" is "nucleus"."""
    return name.partition(" (")[0]


def _marks(values: frozenset[int], value: int | None) -> bool:
    return any(found > 0 for found in values) if value is None else value in values


def _read_labels(file: Path) -> NDArray[Any]:
    return np.asarray(sitk.GetArrayFromImage(read_image(file)))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
    return str(error).splitlines()[0]
