"""The studies that the server of these tests serves: good ones and broken ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

LEFT, RIGHT = 200, 100
"""Intensities of the block on the patient's left and of the one on the right."""


def write_studies(studies: Path) -> None:
    def write(image: sitk.Image, name: str) -> None:
        sitk.WriteImage(image, str(studies / name), useCompression=True)

    write(head(), "head.nii.gz")
    write(oblique(), "oblique.nii.gz")
    write(picture(), "picture.png")
    write(sitk.JoinSeries([head(), head()]), "four.nii.gz")
    write(sitk.Compose([head()] * 3), "colour.nrrd")
    holes = sitk.GetArrayFromImage(head()).astype(np.float32)
    holes[3, 3, 3] = np.nan
    write(sitk.GetImageFromArray(holes), "holes.nii.gz")
    (studies / "empty.nii.gz").write_bytes(b"")
    (studies / "garbage.nii.gz").write_bytes(b"this is no image" * 50)
    (studies / "huge.nrrd").write_text(
        "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 9000 9000 9000\nencoding: raw\n\n"
    )
    write(head(), "fleeting.nii.gz")
    (studies / "labels").mkdir()
    (studies / "labels" / "blocked").write_text("a file where a folder would have to be")


def head() -> sitk.Image:
    """Axes i to the patient's left, j to posterior, k to superior; 1 mm."""
    return sitk.GetImageFromArray(blocks())


def head_file(folder: Path) -> bytes:
    """The same as the content of a ``.nii.gz``, by way of a folder."""
    sitk.WriteImage(head(), str(folder / "head.nii.gz"))
    return (folder / "head.nii.gz").read_bytes()


def oblique() -> sitk.Image:
    """The same voxels turned, mirrored in i and stretched in k."""
    image = sitk.GetImageFromArray(blocks())
    turn = sitk.Euler3DTransform((0, 0, 0), 0.2, -0.15, 0.1).GetMatrix()
    direction = np.reshape(turn, (3, 3)) @ np.diag([-1, 1, 1])
    image.SetDirection(direction.ravel())
    image.SetOrigin((40.0, -30.0, 12.5))
    image.SetSpacing((1.0, 1.0, 2.5))
    return image


def blocks() -> np.ndarray:
    """Two bright blocks, axes (k, j, i): LEFT at high i, RIGHT at low i."""
    array = np.zeros((20, 40, 48), np.int16)
    array[5:15, 10:30, 30:42] = LEFT
    array[5:15, 10:30, 6:18] = RIGHT
    return array


def picture() -> sitk.Image:
    array = np.zeros((60, 80, 3), np.uint8)
    array[10:30, 50:70] = (220, 180, 160)
    return sitk.GetImageFromArray(array, isVector=True)
