"""Headers that name other files, as real files that ITK would follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from ibisagent import detached
from ibisagent.errors import DetachedData, UnreadableImage
from ibisagent.volume import read_image

NRRD = "NRRD0005\ntype: uchar\ndimension: 3\nsizes: 4 3 2\nencoding: raw\n{}\n"
META = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 4 3 2\n"
    "ElementType = MET_UCHAR\n{}\n"
)
VOXELS = bytes(range(24))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where images are; the file beside it is not theirs to read."""
    images = tmp_path / "images"
    images.mkdir()
    (tmp_path / "secret.raw").write_bytes(VOXELS)
    (images / "beside.raw").write_bytes(VOXELS)
    for k in range(2):
        (images / f"part{k}.raw").write_bytes(VOXELS[12 * k : 12 * (k + 1)])
    return images


def header(path: Path, form: str, field: str) -> Path:
    path.write_bytes(form.format(field).encode())
    return path


FAR = [
    ("{dir}/secret.raw", "an absolute path"),
    ("../secret.raw", "a way up"),
    ("./../secret.raw", "a way up, after a harmless start"),
    ("sub/../../secret.raw", "a way down and up"),
    ("..\\secret.raw", "a way up on Windows"),
    ("C:secret.raw", "a drive"),
]


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".NHDR"])
@pytest.mark.parametrize("field", ["data file: {}", "datafile: {}", "Data File:{}"])
@pytest.mark.parametrize(("name", "_what"), FAR)
def test_nrrd_does_not_reach_other_folders(
    folder: Path, suffix: str, field: str, name: str, _what: str
) -> None:
    name = name.format(dir=folder.parent)
    with pytest.raises(DetachedData) as caught:
        read_image(header(folder / f"x{suffix}", NRRD, field.format(name)))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".MHD"])
@pytest.mark.parametrize("field", ["ElementDataFile = {}", "ElementDataFile: {}"])
@pytest.mark.parametrize(("name", "_what"), FAR)
def test_metaimage_does_not_reach_other_folders(
    folder: Path, suffix: str, field: str, name: str, _what: str
) -> None:
    name = name.format(dir=folder.parent)
    with pytest.raises(DetachedData) as caught:
        read_image(header(folder / f"x{suffix}", META, field.format(name)))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "form", "field"),
    [
        ("x.nrrd", NRRD, "data file: beside.raw"),
        ("x.nrrd", NRRD, "data file: LIST\npart0.raw\npart1.raw"),
        ("x.nrrd", NRRD, "data file: part%d.raw 0 1 1"),
        ("x.mha", META, "ElementDataFile = beside.raw"),
        ("x.mha", META, "ElementDataFile = LIST\npart0.raw\npart1.raw"),
        ("x.mha", META, "ElementDataFile = part%d.raw 0 1 1"),
        ("x.mha", META, "Comment = ElementDataFile = LOCAL\nElementDataFile = beside.raw"),
    ],
)
def test_a_file_of_one_part_must_hold_its_voxels(
    folder: Path, file: str, form: str, field: str
) -> None:
    with pytest.raises(DetachedData, match="holds no voxels") as caught:
        read_image(header(folder / file, form, field))
    assert caught.value.fix


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_other_line_ends_hide_nothing(folder: Path, ends: str) -> None:
    path = folder / "x.nrrd"
    text = NRRD.format(f"data file: {folder.parent / 'secret.raw'}").replace("\n", ends)
    path.write_bytes(text.encode())
    with pytest.raises(DetachedData):
        read_image(path)


@pytest.mark.parametrize(
    ("file", "form", "field"),
    [
        ("x.nhdr", NRRD, "data file: LIST\n/etc/passwd\npart1.raw"),
        ("x.nhdr", NRRD, "data file: LIST 2\npart0.raw\n../secret.raw"),
        ("x.mhd", META, "ElementDataFile = LIST\npart0.raw\n../secret.raw"),
        ("x.mhd", META, "ElementDataFile = ../part%d.raw 0 1 1"),
        ("x.nhdr", NRRD, "data file: ../part%d.raw 0 1 1"),
    ],
)
def test_lists_and_patterns_stay_in_the_folder(
    folder: Path, file: str, form: str, field: str
) -> None:
    with pytest.raises(DetachedData, match="another folder"):
        read_image(header(folder / file, form, field))


@pytest.mark.parametrize(
    ("file", "form", "field"),
    [
        ("x.nhdr", NRRD, "data file: beside.raw"),
        ("x.nhdr", NRRD, "data file: ./beside.raw"),
        ("x.nhdr", NRRD, "data file: LIST 2\npart0.raw\npart1.raw"),
        ("x.mhd", META, "ElementDataFile = beside.raw"),
        ("x.mhd", META, "ElementDataFile = LIST\npart0.raw\npart1.raw"),
    ],
)
def test_headers_by_name_may_have_their_voxels_beside_them(
    folder: Path, file: str, form: str, field: str
) -> None:
    image = read_image(header(folder / file, form, field))
    array = sitk.GetArrayFromImage(image)
    np.testing.assert_array_equal(array.ravel(), np.frombuffer(VOXELS, np.uint8))


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nhdr", ".mhd"])
def test_what_itk_writes_is_read(tmp_path: Path, suffix: str) -> None:
    image = sitk.GetImageFromArray(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    for compressed in (False, True):
        sitk.WriteImage(image, str(tmp_path / f"x{suffix}"), compressed)
        assert read_image(tmp_path / f"x{suffix}").GetSize() == (4, 3, 2)


@pytest.mark.parametrize("file", ["x.nrrd", "x.mha"])
def test_header_without_an_end(folder: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detached, "MAX_HEADER", 4096)
    (folder / file).write_bytes(b"NRRD0004\n" + b"# more\n" * 2000)
    with pytest.raises(UnreadableImage, match="does not end"):
        read_image(folder / file)
