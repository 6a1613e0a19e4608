from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path

import pytest
from fastapi import UploadFile

from ibisagent.errors import OutputNotWritable
from ibisagent_app.errors import UnsupportedFile
from ibisagent_app.uploads import IMAGE_SUFFIXES, is_kept, kept, suffix_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def upload(name: str | None, content: bytes = b"voxels") -> UploadFile:
    return UploadFile(BytesIO(content), filename=name)


@pytest.mark.parametrize("name", ["a.nii.gz", "A.NII.GZ", "../../a.seg.nii.gz", None])
def test_only_the_suffix_is_taken_from_the_name(folder: Path, name: str | None) -> None:
    with kept(upload(name), IMAGE_SUFFIXES) as path:
        assert path.name == "upload.nii.gz"
        assert path.parent.parent == folder
        assert path.parent.stat().st_mode & 0o077 == 0
        assert path.read_bytes() == b"voxels"
        assert is_kept(path)
    assert not is_kept(path)
    assert list(folder.iterdir()) == []


def test_nothing_is_left_behind_by_a_failure(folder: Path) -> None:
    with pytest.raises(RuntimeError), kept(upload("a.nrrd"), IMAGE_SUFFIXES):
        raise RuntimeError
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["a.mhd", "a.nhdr", "a.exe", "a", ".nii", "a.nii.gz.json", ""])
def test_other_files_are_not_taken(folder: Path, name: str) -> None:
    if name in ("", ".nii"):  # as good as none, or nothing but a suffix
        assert suffix_of(name or "x.nii", IMAGE_SUFFIXES) == ".nii"
        return
    with pytest.raises(UnsupportedFile) as caught, kept(upload(name), IMAGE_SUFFIXES):
        pass
    assert ".nii.gz" in caught.value.fix
    assert list(folder.iterdir()) == []


class _Full(BytesIO):
    def read(self, *_: object) -> bytes:
        raise OSError(28, "No space left on device")


def test_full_disk(folder: Path) -> None:
    full = UploadFile(_Full(), filename="a.nrrd")
    with pytest.raises(OutputNotWritable), kept(full, IMAGE_SUFFIXES):
        pass
    assert list(folder.iterdir()) == []


def test_no_folder_for_uploads(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "gone"))
    with pytest.raises(OutputNotWritable), kept(upload("a.nrrd"), IMAGE_SUFFIXES):
        pass
