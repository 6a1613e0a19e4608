from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ibisagent.errors import InvalidRequest, UnreadableImage
from ibisagent.runs import image_shelf
from ibisagent.runs.geometry import Geometry
from ibisagent.runs.image_shelf import ImageShelf
from ibisagent.slices import Plane, SliceView


def write(path: Path, side: int = 10, value: int = 0) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(np.full((side,) * 3, value, np.uint8)), str(path))
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    calls: list[Path] = []
    real = image_shelf.read_image

    def read(path: Path) -> sitk.Image:
        calls.append(path)
        return real(path)

    monkeypatch.setattr(image_shelf, "read_image", read)
    return calls


def test_image_is_read_once(tmp_path: Path, reads: list[Path]) -> None:
    shelf, path = ImageShelf(10**6), write(tmp_path / "a.nrrd")
    assert shelf.open(path) is shelf.open(path)
    assert len(reads) == 1
    assert shelf.n_bytes == 1000


def test_changed_file_is_read_again(tmp_path: Path, reads: list[Path]) -> None:
    shelf, path = ImageShelf(10**6), write(tmp_path / "a.nrrd")
    shelf.open(path)
    write(path, value=7)
    os.utime(path, ns=(1, 1))
    assert sitk.GetArrayFromImage(shelf.open(path).image).max() == 7


def test_budget_drops_those_used_longest_ago(tmp_path: Path, reads: list[Path]) -> None:
    shelf = ImageShelf(2500)
    paths = [write(tmp_path / f"{name}.nrrd") for name in "abc"]
    for path in (*paths[:2], paths[0], paths[2], paths[0], paths[1]):
        shelf.open(path)
    assert [path.stem for path in reads] == ["a", "b", "c", "b"]
    assert shelf.n_bytes <= 2500


def test_newest_is_kept_even_if_it_is_too_large(tmp_path: Path, reads: list[Path]) -> None:
    shelf, path = ImageShelf(0), write(tmp_path / "a.nrrd")
    shelf.open(path)
    shelf.open(path)
    assert len(reads) == 1


def test_many_who_want_one_image_read_it_once(tmp_path: Path, reads: list[Path]) -> None:
    shelf, path = ImageShelf(10**6), write(tmp_path / "a.nrrd", side=60)
    threads = [threading.Thread(target=shelf.open, args=(path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(reads) == 1


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="gone"):
        ImageShelf(0).open(tmp_path / "a.nrrd")


def test_broken_file_is_told_each_time(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    path.write_bytes(b"nothing")
    for _ in range(2):
        with pytest.raises(UnreadableImage):
            ImageShelf(0).open(path)


def test_views_are_made_once(tmp_path: Path) -> None:
    opened = ImageShelf(0).open(write(tmp_path / "a.nrrd"))
    assert opened.view(Plane.AXIAL, "auto") is opened.view(Plane.AXIAL, "auto")
    assert opened.view(Plane.CORONAL, "auto").plane is Plane.CORONAL
    with pytest.raises(InvalidRequest):
        opened.view(Plane.AXIAL, "nothing")


def test_geometry_places_masks_as_the_image_does(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16))
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-3.0, 2.0, 9.5))
    turn = sitk.Euler3DTransform((0, 0, 0), 0.2, -0.15, 0.1).GetMatrix()
    image.SetDirection(turn)
    geometry = Geometry.model_validate_json(Geometry.of(image).model_dump_json())
    assert geometry == Geometry.of(image)
    for plane in ("axial", "coronal", "sagittal"):
        real, blank = SliceView(image, plane), geometry.view(Plane(plane))
        assert (real.count, real.shape) == (blank.count, blank.shape)
        assert real.pixel_to_index(1, 2, 3) == blank.pixel_to_index(1, 2, 3)


def test_geometry_of_a_picture(tmp_path: Path) -> None:
    picture = sitk.GetImageFromArray(np.zeros((5, 6, 3), np.uint8), isVector=True)
    assert Geometry.of(picture).view(Plane.AXIAL).shape == (5, 6)
