from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from ibisagent.errors import UnreadableImage
from ibisagent_app.training.grid import check_same_grid, grid_of
from ibisagent_app.training.refusals import LabelMisfit


def volume(path, size=(6, 5, 4), spacing=(1.0, 1.0, 2.0), origin=(3.0, -4.0, 5.0), turn=0.0):
    image = sitk.Image(*size, sitk.sitkInt16)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    matrix = [np.cos(turn), -np.sin(turn), 0, np.sin(turn), np.cos(turn), 0, 0, 0, 1]
    image.SetDirection([float(value) for value in matrix])
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def image(tmp_path):
    return volume(tmp_path / "image.nii.gz", turn=0.3)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_the_same_grid_in_another_format(image, tmp_path, suffix):
    check_same_grid("head", image, volume(tmp_path / f"label{suffix}", turn=0.3))


@pytest.mark.parametrize(
    "other",
    [{"size": (5, 6, 4)}, {"spacing": (1.0, 1.0, 2.5)}, {"origin": (3.0, -4.0, 6.0)}, {"turn": 0}],
)
def test_another_grid_is_refused(image, tmp_path, other):
    label = volume(tmp_path / "label.nii.gz", **{"turn": 0.3, **other})

    with pytest.raises(LabelMisfit, match="head"):
        check_same_grid("head", image, label)


def test_pictures_are_compared_by_size_only(tmp_path):
    picture = sitk.Image(8, 6, sitk.sitkUInt8)
    sitk.WriteImage(picture, str(tmp_path / "picture.png"))
    picture.SetSpacing((0.2, 0.2))
    sitk.WriteImage(picture, str(tmp_path / "label.nrrd"))

    check_same_grid("skin", tmp_path / "picture.png", tmp_path / "label.nrrd")


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "label.nii.gz").write_bytes(b"nothing")

    with pytest.raises(UnreadableImage, match="label"):
        grid_of(tmp_path / "label.nii.gz")


def test_a_trailing_axis_of_one_is_none(tmp_path):
    image = sitk.JoinSeries([sitk.Image(6, 5, 4, sitk.sitkUInt8)])
    sitk.WriteImage(image, str(tmp_path / "four.nii.gz"))

    assert grid_of(tmp_path / "four.nii.gz").size == (6, 5, 4)
