from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from ibisagent.errors import UnreadableImage
from ibisagent.truncation import refuse_truncated
from ibisagent.volume import read_image

VOLUME = np.random.default_rng(0).integers(1, 9, (20, 30, 40), dtype=np.int16)
COLOUR = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)


def write(path: Path) -> Path:
    picture = path.suffix in (".png", ".jpg", ".bmp") or path.name == "colour.tif"
    array = COLOUR if picture else VOLUME
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=picture), str(path))
    return path


NAMES = ["a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.png", "a.jpg", "a.bmp", "colour.tif", "a.tif"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.99, 0.5, 0.2])
def test_a_file_that_ends_early_is_refused(tmp_path, name, share):
    path = write(tmp_path / name)
    assert read_image(path).GetNumberOfPixels() > 0
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableImage) as caught:
        read_image(path)
    assert name in caught.value.message


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.jpg", "a.bmp", "a.tif"])
def test_itk_alone_would_not_notice(tmp_path, name):
    path = write(tmp_path / name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.9)])
    assert sitk.ReadImage(str(path)).GetNumberOfPixels() > 0


def test_a_truncated_dicom_file_is_refused(tmp_path, data_dir):
    whole = (data_dir / "dicom_ct3_dcmqi" / "dicom" / "01.dcm").read_bytes()
    for share in (0.99, 0.5, 0.01):
        path = tmp_path / "a.dcm"
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(UnreadableImage):
            read_image(path)


@pytest.mark.parametrize("big", [False, True])
def test_whole_tiffs_of_any_kind_are_read(tmp_path, big):
    pages = [Image.fromarray(page.astype(np.uint8)) for page in VOLUME]
    path = tmp_path / "a.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:], big_tiff=big)
    assert read_image(path).GetSize() == VOLUME.T.shape
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableImage):
        read_image(path)


def test_colour_tiffs_of_sixteen_bits_are_read(tmp_path):
    image = sitk.GetImageFromArray(COLOUR.astype(np.uint16) * 257, isVector=True)
    sitk.WriteImage(image, str(tmp_path / "a.tif"))
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(read_image(tmp_path / "a.tif")), COLOUR.astype(np.uint16) * 257
    )


def test_a_tiff_whose_pages_go_in_circles_ends(tmp_path):
    path = write(tmp_path / "colour.tif")
    whole = bytearray(path.read_bytes())
    first = int.from_bytes(whole[4:8], "little")
    entries = int.from_bytes(whole[first : first + 2], "little")
    end = first + 2 + 12 * entries
    whole[end : end + 4] = first.to_bytes(4, "little")
    path.write_bytes(whole)
    refuse_truncated(path, "TIFFImageIO")
