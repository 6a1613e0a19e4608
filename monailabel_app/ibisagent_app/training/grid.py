"""Whether a label lies on the grid of its image, told from the headers of their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ibisagent.errors import UnreadableImage
from ibisagent.volume import read_image
from ibisagent_app.training.refusals import LabelMisfit

_TOLERANCE_MM = 1e-2
"""More than what file formats round, less than what is seen."""


@dataclass(frozen=True)
class Grid:
    """Where the voxels of an image are.

    Attributes:
        size: Voxels along (i, j, k), or (column, row) of a picture.
        corners: Where the first and the last voxel are, in mm; empty for a picture, as such
            files hold no geometry that could be relied on.
    """

    size: tuple[int, ...]
    corners: tuple[tuple[float, ...], ...]


def grid_of(path: Path) -> Grid:
    """The grid of an image file, or of a folder with one DICOM series.

    Raises:
        UnreadableImage: The file is damaged or in no known format.
    """
    if path.is_dir():
        image = read_image(path)
        return _grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UnreadableImage(
            f"{path.name} cannot be read.", "Replace it by a whole file, or remove it."
        ) from error
    return _grid(reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())


def check_same_grid(study: str, image: Path, label: Path) -> None:
    """Refuse a label that is not on the grid of its image.

    Raises:
        LabelMisfit: With how they differ.
        UnreadableImage: One of the files is damaged.
    """
    ours, theirs = grid_of(image), grid_of(label)
    if ours.size != theirs.size:
        raise _misfit(study, f"is of size {theirs.size}, its image of {ours.size}")
    pairs = zip(ours.corners, theirs.corners, strict=False)
    if any(np.abs(np.subtract(here, there)).max() > _TOLERANCE_MM for here, there in pairs):
        raise _misfit(study, "lies elsewhere in space than its image")


def _grid(
    size: tuple[int, ...],
    spacing: tuple[float, ...],
    origin: tuple[float, ...],
    direction: tuple[float, ...],
) -> Grid:
    axes = len(size)
    if axes < 3:
        return Grid(tuple(size), ())
    matrix = np.reshape(direction, (axes, axes))[:3, :3] * np.asarray(spacing[:3])
    last = matrix @ (np.asarray(size[:3]) - 1) + np.asarray(origin[:3])
    corners = (tuple(origin[:3]), tuple(float(value) for value in last))
    while axes > 3 and size[axes - 1] == 1:  # a fourth axis of one
        axes -= 1
    return Grid(tuple(size[:axes]), corners)


def _misfit(study: str, how: str) -> LabelMisfit:
    return LabelMisfit(
        f"The label of {study} {how}.",
        "Export the segmentation with the image as reference volume, and submit it again.",
    )
