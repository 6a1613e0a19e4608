"""A real local datastore with accepted studies, small enough for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from monailabel.datastore.local import LocalDatastore
from numpy.typing import NDArray

SIZE = 56
EXTENSIONS = ("*.nii.gz", "*.nii", "*.nrrd", "*.png")


def write_picture_study(
    folder: Path, name: str, seed: int, radius: int = 9
) -> tuple[Path, NDArray[np.uint8]]:
    """A picture of noise with one bright disc; returns its file and the disc as label image."""
    rng = np.random.default_rng(seed)
    row, column = rng.integers(radius + 2, SIZE - radius - 2, 2)
    rows, columns = np.ogrid[:SIZE, :SIZE]
    disc = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    picture = rng.integers(0, 60, (SIZE, SIZE)) + 150 * disc
    path = folder / f"{name}.png"
    sitk.WriteImage(sitk.GetImageFromArray(picture.astype(np.uint8)), str(path))
    return path, disc.astype(np.uint8)


def write_label(path: Path, array: NDArray[Any], like: Path | None = None) -> Path:
    image = sitk.GetImageFromArray(array)
    if like is not None:
        image.CopyInformation(sitk.ReadImage(str(like)))
    sitk.WriteImage(image, str(path))
    return path


def store_of(folder: Path) -> LocalDatastore:
    return LocalDatastore(str(folder), extensions=EXTENSIONS)


def accept(
    store: LocalDatastore, scratch: Path, name: str, array: NDArray[Any], info: dict[str, Any]
) -> None:
    """As the stock client submits a label."""
    label = write_label(scratch / f"submitted-{name}.png", array)
    store.save_label(name, str(label), "final", info)


def disc_info(name: str = "disc") -> dict[str, Any]:
    return {"label_info": [{"name": name, "idx": 1}]}


def accepted(folder: Path, scratch: Path, count: int, more: int = 0) -> LocalDatastore:
    """A store of `count` accepted studies and `more` without a label."""
    folder.mkdir(exist_ok=True)
    discs = [write_picture_study(folder, f"study{n}", n)[1] for n in range(count + more)]
    store = store_of(folder)
    for number in range(count):
        accept(store, scratch, f"study{number}", discs[number], disc_info())
    return store
