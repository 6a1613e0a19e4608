from __future__ import annotations

import gzip
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from ibisagent.errors import NonFiniteImage, UnreadableImage
from ibisagent.volume import read_image

VOLUME = np.random.default_rng(0).integers(1, 9, (20, 30, 40), dtype=np.int16)  # (k, j, i)


def nifti(path: Path, array=VOLUME) -> Path:
    nib.save(nib.Nifti1Image(array.T, np.eye(4)), path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("missing", [1, 100, 10_000])
def test_a_file_that_ends_early_is_refused_though_itk_reads_it(tmp_path, name, dtype, missing):
    path = nifti(tmp_path / name, VOLUME.astype(dtype))
    path.write_bytes(path.read_bytes()[:-missing])
    assert sitk.ReadImage(str(path)).GetNumberOfPixels() == VOLUME.size
    with pytest.raises(UnreadableImage, match="truncated"):
        read_image(path)


def test_a_damaged_byte_in_a_compressed_nifti_is_found(tmp_path):
    path = nifti(tmp_path / "a.nii.gz")
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(UnreadableImage):
        read_image(path)


def test_a_nifti_named_gz_but_not_compressed_is_read(tmp_path):
    nifti(tmp_path / "a.nii").rename(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(tmp_path / "a.nii.gz")), VOLUME)


def test_a_nifti_with_an_extension_and_more_bytes_than_needed_is_read(tmp_path):
    image = nib.Nifti1Image(VOLUME.T, np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 1000))
    nib.save(image, tmp_path / "a.nii")
    whole = (tmp_path / "a.nii").read_bytes() + b"\0" * (3 << 20)
    (tmp_path / "a.nii").write_bytes(whole)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(whole))
    for name in ("a.nii", "a.nii.gz"):
        np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(tmp_path / name)), VOLUME)


def test_scaled_niftis_are_read(tmp_path):
    scaled = nib.Nifti1Image(VOLUME.T, np.eye(4))
    scaled.header.set_slope_inter(2.0, -3.0)
    nib.save(scaled, tmp_path / "scaled.nii.gz")
    stored = sitk.GetArrayFromImage(read_image(tmp_path / "scaled.nii.gz"))
    np.testing.assert_allclose(stored, nib.load(tmp_path / "scaled.nii.gz").get_fdata().T)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_intensities_that_are_no_numbers_are_refused_though_itk_zeroes_them(
    tmp_path, name, dtype, value
):
    array = VOLUME.astype(dtype)
    whole = nifti(tmp_path / name, array)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(whole)), VOLUME)
    array[19, 29, 39] = value
    path = nifti(tmp_path / name, array)
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[19, 29, 39] == 0
    with pytest.raises(NonFiniteImage, match="NaN"):
        read_image(path)


@pytest.mark.parametrize("offset", [1e5, 1e15, -1e15, np.nan])
def test_a_voxel_offset_beyond_the_file_is_refused(tmp_path, offset):
    path = nifti(tmp_path / "a.nii")
    damaged = bytearray(path.read_bytes())
    damaged[108:112] = np.array([offset], "<f4").tobytes()
    path.write_bytes(damaged)
    with pytest.raises(UnreadableImage):
        read_image(path)


@pytest.mark.parametrize(("code", "used"), [(1, 50), (2, 0), (4, 0)])
def test_qform_and_sform_are_used_as_itk_does_and_told(tmp_path, caplog, code, used):
    image = nib.Nifti1Image(VOLUME.T, np.eye(4))
    image.set_qform(np.diag([1, 1, 1, 1]), code=1)
    image.set_sform(nib.affines.from_matvec(np.eye(3), (50, 0, 0)), code=code)
    nib.save(image, tmp_path / "a.nii")
    with caplog.at_level(logging.WARNING):
        origin = read_image(tmp_path / "a.nii").GetOrigin()
    assert origin == pytest.approx((-used, 0, 0))
    assert ("qform and sform of a.nii disagree" in caplog.text) == (used == 0)


def test_an_image_without_orientation_is_read_with_a_warning(tmp_path, caplog):
    image = nib.Nifti1Image(VOLUME.T, None)
    image.header["qform_code"] = image.header["sform_code"] = 0
    nib.save(image, tmp_path / "a.nii")
    with caplog.at_level(logging.WARNING):
        read_image(tmp_path / "a.nii")
    assert "left and right" in caplog.text
