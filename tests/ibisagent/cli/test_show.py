"""``ibisagent show``: a trajectory on the terminal and as a film strip."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from harness.list_policy import TERMINATE, click
from PIL import Image


@pytest.fixture
def result(ibisagent, scripted, tmp_path):
    """The folder of a result, beside the image it was made on."""
    image = sitk.GetImageFromArray(np.zeros((9, 40, 50), np.int16))
    sitk.WriteImage(image, str(tmp_path / "study.nii.gz"))
    scripted(click(0.5, 0.25), TERMINATE)
    out = tmp_path / "out"
    ibisagent("segment", tmp_path / "study.nii.gz", "--prompt", "the kidney", "--out", out)
    return out


def test_turns_are_listed_and_drawn(ibisagent, result):
    done = ibisagent("show", result / "trajectory.json")

    assert done.code == 0
    assert "positive (0.5000, 0.2500)" in done.out
    assert "terminated: Done." in done.out
    drawn, made = ((result / name).read_bytes() for name in ("trajectory.png", "film.png"))
    assert drawn == made


def test_image_and_film_can_be_named(ibisagent, result, tmp_path):
    shutil.move(tmp_path / "study.nii.gz", tmp_path / "renamed.nii.gz")

    done = ibisagent(
        "show",
        result / "trajectory.json",
        "--image",
        tmp_path / "renamed.nii.gz",
        "--out",
        tmp_path / "strip.png",
    )

    assert done.code == 0
    with Image.open(tmp_path / "strip.png") as film:
        assert film.format == "PNG"


def test_missing_image_is_said(ibisagent, result, tmp_path):
    (tmp_path / "study.nii.gz").unlink()

    assert "--image" in ibisagent("show", result / "trajectory.json").error()


def test_trajectory_does_not_choose_another_folders_file(ibisagent, result, tmp_path):
    text = (result / "trajectory.json").read_text()
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "inner").mkdir(parents=True)
    other = json.dumps(str(tmp_path / "study.nii.gz"))
    (elsewhere / "inner" / "t.json").write_text(text.replace('"study.nii.gz"', other))

    assert "not beside" in ibisagent("show", elsewhere / "inner" / "t.json").error()


def test_existing_film_is_kept_without_force(ibisagent, result):
    film = result / "trajectory.png"
    film.write_bytes(b"mine")

    assert "--force" in ibisagent("show", result / "trajectory.json").error()
    assert film.read_bytes() == b"mine"
    assert ibisagent("show", result / "trajectory.json", "--force").code == 0
    assert film.read_bytes() != b"mine"


def test_another_image_is_refused(ibisagent, result, tmp_path):
    other = sitk.GetImageFromArray(np.zeros((9, 8, 8), np.int16))
    sitk.WriteImage(other, str(tmp_path / "other.nii.gz"))

    line = ibisagent(
        "show", result / "trajectory.json", "--image", tmp_path / "other.nii.gz"
    ).error()

    assert "40 x 50" in line


@pytest.mark.parametrize("text", [None, "", "{}", "[1]"])
def test_no_trajectory_is_said(ibisagent, tmp_path, text):
    file = tmp_path / "t.json"
    if text is not None:
        file.write_text(text)

    assert "t.json" in ibisagent("show", file).error()


def test_film_that_cannot_be_written_is_said(ibisagent, result):
    line = ibisagent(
        "show", result / "trajectory.json", "--out", result / "no" / "folder" / "film.png"
    ).error()

    assert "film.png" in line
