"""The corpus: every labelled picture of the training sets, in memory, by subject.

Volumes are sliced as inference slices them. Pictures are kept no larger than a tiny model can
use; labels stay one integer image, from which a target's mask is taken when it is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from scipy import ndimage

from ibisagent.manifest import Item, load_manifest
from ibisagent.slices import SliceView
from ibisagent.tools.base import RGB
from ibisagent.volume import is_picture, read_image
from ibistrain.catalogue import Catalogue, SetEntry
from ibistrain.labelled_picture import MAX_SIDE, LabelledPicture

logger = logging.getLogger(__name__)

CLOSING_MM = 6
"""Radius that closes gaps between the parts of an atlas when they are joined to one organ."""


def load_corpus(
    data: Path, catalogue: Catalogue, held_back: bool = False, sets: Sequence[str] = ()
) -> list[LabelledPicture]:
    """Read all pictures of one side of the split.

    A picture answers for what its set's labels name, and for targets of other sets that the
    catalogue says its set never shows.

    Args:
        data: Folder with one folder a set.
        catalogue: Which sets, and how.
        held_back: False for the training side, True for the other.
        sets: Names of the sets to read; all of the catalogue if empty.

    Raises:
        InvalidManifest: A manifest or a label image cannot be read.
    """
    pictures: list[LabelledPicture] = []
    items = {name: load_manifest(data / name).items for name in sets or catalogue.sets}
    named = {
        target
        for name, all_of_them in items.items()
        for item in all_of_them
        if not item.is_held_back()  # a name that is not learnt need not be asked for in vain
        for target in catalogue.sets[name].targets(item.labels)
    }
    for name in track(list(items), description="Reading sets", transient=True):
        never = catalogue.never(name, named)
        for item in items[name]:
            if item.is_held_back() == held_back:
                pictures.extend(_pictures(item, catalogue.sets[name], never))
    logger.info("%d pictures of %d sets", len(pictures), len(items))
    return pictures


def load_left_out(data: Path, catalogue: Catalogue) -> list[LabelledPicture]:
    """Pictures of the sets in a folder that nothing is trained on, both sides of their split.

    Args:
        data: Folder with one folder a set.
        catalogue: Of the training.

    Raises:
        InvalidManifest: A manifest or a label image cannot be read.
    """
    names = sorted(file.parent.name for file in data.glob("*/manifest.json"))
    others = {name: SetEntry() for name in names if name not in catalogue.sets}
    if not others:
        return []
    all_of_them = Catalogue(sets=others, synonyms={})
    return [
        picture
        for held_back in (False, True)
        for picture in load_corpus(data, all_of_them, held_back)
    ]


def _pictures(item: Item, entry: SetEntry, never: Iterable[str]) -> Iterator[LabelledPicture]:
    image = read_image(item.image)
    labels, own = _label_array(item, entry, image.GetSpacing())
    targets = {**dict.fromkeys(sorted(never), ()), **own}
    planes = {"picture": 1} if is_picture(image) else entry.planes
    for plane, step in planes.items():
        view = SliceView(image, plane)
        for index in range(0, view.count, step):
            rgb, flat = view.rgb(index), view.from_volume(labels, index)
            if plane != "picture" and not flat.any():
                continue
            rgb, flat = _shrink(rgb, np.asarray(flat, np.uint8))
            name = f"{item.name}/{plane}/{index}"
            yield LabelledPicture(item.set_name, item.subject, name, rgb, flat, targets, entry.flip)


def _label_array(
    item: Item, entry: SetEntry, spacing: Sequence[float]
) -> tuple[NDArray[np.uint8], dict[str, tuple[int, ...]]]:
    """One integer image of all labels, and the ids of each target."""
    truths = item.read()
    ids = {name: number for number, name in enumerate(item.labels, start=1)}
    array = np.zeros(next(iter(truths.arrays.values())).shape, np.uint8)
    for name in truths.present:
        array[truths[name]] = ids[name]
    parts = entry.targets(item.labels)
    targets = {name: tuple(ids[label] for label in labels) for name, labels in parts.items()}
    if entry.only == ():  # an atlas of which only unions are wanted: fill the gaps between parts
        close_gaps(array, spacing)
    return array, targets


def close_gaps(array: NDArray[np.uint8], spacing: Sequence[float]) -> None:
    """Give unlabelled voxels inside the organ the label of their nearest neighbour, in place."""
    image = sitk.GetImageFromArray((array > 0).astype(np.uint8))
    radius = [max(1, round(CLOSING_MM / mm)) for mm in spacing]
    inside = sitk.GetArrayFromImage(sitk.BinaryMorphologicalClosing(image, radius)).astype(bool)
    for axis in range(inside.ndim):  # a cavity may be open in one direction and closed in others
        for flat in np.moveaxis(inside, axis, 0):
            flat[...] = ndimage.binary_fill_holes(flat)
    nearest: Any = ndimage.distance_transform_edt(
        array == 0, return_distances=False, return_indices=True
    )
    array[inside] = array[tuple(nearest)][inside]


def _shrink(rgb: RGB, labels: NDArray[np.uint8]) -> tuple[RGB, NDArray[np.uint8]]:
    height, width = labels.shape
    scale = MAX_SIDE / max(height, width)
    if scale >= 1:
        return rgb, labels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(rgb).resize(size, Image.Resampling.BOX)
    ids = Image.fromarray(labels).resize(size, Image.Resampling.NEAREST)
    return np.asarray(small), np.asarray(ids)
