from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from ibisagent.errors import (
    IBISAgentError,
    InvalidRequest,
    NonFiniteImage,
    OutputNotWritable,
    OversizeImage,
    UnreadableImage,
    UnsupportedImage,
)
from ibisagent.volume import MAX_SIDE, MODALITY, is_picture, read_image, validate, write_mask

few = settings(max_examples=50, deadline=None)  # each example writes and reads files


@st.composite
def affines(draw) -> np.ndarray:
    """RAS affines of any orientation: oblique, flipped, permuted, anisotropic, left-handed."""
    angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
    matrix = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    matrix = matrix[:, draw(st.permutations(range(3)))]
    matrix = matrix * draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    affine = np.eye(4)
    affine[:3, :3] = matrix * draw(st.tuples(*[st.floats(0.3, 8)] * 3))
    affine[:3, 3] = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    return affine


shapes = st.tuples(*[st.integers(1, 7)] * 3)


def to_ras(image: sitk.Image, index) -> np.ndarray:
    point = image.TransformIndexToPhysicalPoint([int(n) for n in index])
    return np.array(point) * (-1, -1, 1)


def ramp(*shape: int, dtype=np.int16) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def nifti(path: Path, array: np.ndarray, affine=None) -> Path:
    nib.save(nib.Nifti1Image(array, np.diag([2, 3, 4, 1.0]) if affine is None else affine), path)
    return path


def oblique_image(size=(6, 5, 4)) -> sitk.Image:
    image = sitk.GetImageFromArray(ramp(*size[::-1]))
    image.SetSpacing((0.7, 1.1, 3.3))
    image.SetOrigin((-12.5, 31.25, 7.125))
    image.SetDirection(Rotation.from_euler("zyx", (20, -30, 10), degrees=True).as_matrix().ravel())
    return image


def dicom_series(folder: Path, positions, series: str = "1.2.3", across=(0, 0, 1)) -> Path:
    """Write one CT slice a position; each slice holds its own number."""
    folder.mkdir(exist_ok=True)
    for number, position in enumerate(positions):
        image = sitk.GetImageFromArray(np.full((1, 8, 9), number, np.int16))
        image.SetSpacing((0.5, 0.5, 1))
        place = "\\".join(str(float(position * step)) for step in across)
        for key, value in {
            MODALITY: "CT",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"{series}.{number}",
            "0020|000d": "1.2",
            "0020|000e": series,
            "0020|0013": str(number),
            "0020|0032": place,
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }.items():
            image.SetMetaData(key, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{series}.{number}.dcm"))
        writer.Execute(image)
    return folder


# Reading


@few
@given(affines(), shapes)
def test_every_voxel_is_where_nibabel_says(tmp_path_factory, affine, size):
    path = nifti(tmp_path_factory.getbasetemp() / "read.nii.gz", ramp(*size), affine)
    image = read_image(path)
    theirs = nib.load(path)
    for index in np.ndindex(size):
        np.testing.assert_allclose(
            to_ras(image, index), nib.affines.apply_affine(theirs.affine, index), atol=1e-3
        )
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), np.asarray(theirs.dataobj).T)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".NRRD"])
def test_volumes_of_every_format_are_read(tmp_path, suffix):
    image = oblique_image()
    path = tmp_path / f"a.b{suffix}"
    sitk.WriteImage(image, str(path))
    result = read_image(path)
    np.testing.assert_array_equal(*map(sitk.GetArrayViewFromImage, (result, image)))
    assert result.GetSpacing() == pytest.approx(image.GetSpacing())
    assert result.GetOrigin() == pytest.approx(image.GetOrigin(), abs=1e-5)
    assert result.GetDirection() == pytest.approx(image.GetDirection(), abs=1e-6)
    assert not is_picture(result)


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "JPG"])
def test_colour_pictures_of_every_format_are_read(tmp_path, suffix):
    colours = np.zeros((6, 8, 3), np.uint8)
    colours[..., 0] = 200
    Image.fromarray(colours).save(tmp_path / f"a.{suffix}")
    image = read_image(tmp_path / f"a.{suffix}")
    assert is_picture(image)
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), colours, atol=2)


def test_alpha_is_dropped(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    array = sitk.GetArrayFromImage(read_image(tmp_path / "a.png"))
    np.testing.assert_array_equal(array, pixels[..., :3])


def test_pictures_of_sixteen_bits_stay_scalar(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (6, 8), dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(tmp_path / "a.png")), pixels)


def test_palettes_are_read_as_the_colours_they_stand_for(tmp_path):
    colours = Image.fromarray(np.full((6, 8, 3), (200, 10, 30), np.uint8))
    colours.quantize(4).save(tmp_path / "a.png")
    pixels = sitk.GetArrayFromImage(read_image(tmp_path / "a.png"))
    np.testing.assert_array_equal(pixels, np.asarray(colours))


def test_a_volume_of_one_slice_stays_a_volume(tmp_path):
    image = read_image(nifti(tmp_path / "a.nii", ramp(5, 4, 1)))
    assert image.GetSize() == (5, 4, 1)
    assert not is_picture(image)


@pytest.mark.parametrize("suffix", ["nii.gz", "nrrd", "mha"])
def test_a_fourth_axis_of_one_is_dropped_and_the_geometry_kept(tmp_path, suffix):
    affine = np.diag([2, 3, 4, 1.0])
    affine[:3, 3] = 7, 8, 9
    path = nifti(tmp_path / "a.nii.gz", ramp(5, 4, 3, 1), affine)
    if suffix != "nii.gz":
        flat = read_image(path)
        path = path.with_name(f"a.{suffix}")
        sitk.WriteImage(sitk.JoinSeries([flat]), str(path))
    image = read_image(path)
    assert image.GetSize() == (5, 4, 3)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), ramp(5, 4, 3).T)
    np.testing.assert_allclose(to_ras(image, (1, 1, 1)), (9, 11, 13))


def test_a_dicom_series_is_read_in_the_order_of_its_positions(tmp_path):
    image = read_image(dicom_series(tmp_path / "ct", [10, 4, 7]))
    assert image.GetSize() == (9, 8, 3)
    assert image.GetSpacing() == pytest.approx((0.5, 0.5, 3))
    assert image.GetOrigin() == pytest.approx((0, 0, 4))
    assert sitk.GetArrayFromImage(image)[:, 0, 0].tolist() == [1, 2, 0]
    assert image.GetMetaData(MODALITY).strip() == "CT"


def test_one_dicom_file_is_read_with_any_suffix_or_none(tmp_path):
    folder = dicom_series(tmp_path / "ct", [5])
    (file,) = folder.iterdir()
    assert read_image(folder).GetSize() == (9, 8, 1)
    for name in ("IM0001", "1.2.840.1"):
        file = file.rename(folder / name)
        assert read_image(file).GetSize() == (9, 8, 1)


def test_a_real_dicom_series_is_read(data_dir):
    image = read_image(data_dir / "dicom_ct3_dcmqi" / "dicom")
    label = read_image(data_dir / "dicom_ct3_dcmqi" / "labels" / "liver_seg.nrrd")
    assert image.GetSize() == label.GetSize()
    assert image.GetOrigin() == pytest.approx(label.GetOrigin())
    assert image.GetSpacing() == pytest.approx(label.GetSpacing())


def test_an_ordinary_image_is_read_in_silence(tmp_path, caplog, capfd):
    read_image(nifti(tmp_path / "a.nii.gz", ramp(5, 4, 3)))
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


# What cannot be read


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("missing.nii", None),
        ("empty.nii", b""),
        ("empty.nii.gz", b""),
        ("empty.png", b""),
        ("empty.dcm", b""),
        ("empty.nrrd", b""),
        ("unknown.foo", b"hello"),
        ("none", b"hello"),
        ("text.nii", b"hello" * 100),
        ("text.nrrd", b"hello" * 100),
        ("text.png", b"hello" * 100),
        ("text.dcm", b"hello" * 100),
        ("zeros.nii", b"\0" * 1000),
        ("nul\0.nii", None),
        ("x" * 300 + ".nii", None),
    ],
)
def test_unreadable_files_are_refused_with_a_fix(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImage) as caught:
        read_image(tmp_path / name)
    assert name in caught.value.message
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.fix


def test_unknown_formats_are_told_the_known_ones(tmp_path):
    (tmp_path / "a.svs").write_bytes(b"II*\0")
    with pytest.raises(UnreadableImage, match=r"\.nii\.gz.*DICOM series"):
        read_image(tmp_path / "a.svs")


def test_itk_does_not_write_to_the_terminal(tmp_path, capfd):
    (tmp_path / "a.foo").write_bytes(b"hello")
    nifti(tmp_path / "a.nii.gz", ramp(9, 9, 9))
    (tmp_path / "a.nii.gz").write_bytes((tmp_path / "a.nii.gz").read_bytes()[:-40])
    dicom_series(tmp_path / "gap", [0, 1, 2, 9])
    for name in ("a.foo", "a.nii.gz", "missing.nrrd", "gap"):
        with pytest.raises((UnreadableImage, UnsupportedImage)):
            read_image(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_a_sheared_nifti_is_refused_and_told_about_its_forms(tmp_path):
    affine = np.eye(4)
    affine[0, 1] = 0.3
    with pytest.raises(UnreadableImage, match=r"sform and qform"):
        read_image(nifti(tmp_path / "a.nii", ramp(5, 4, 3), affine))


def test_a_folder_without_a_series_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UnreadableImage, match="DICOM"):
        read_image(tmp_path)


def test_a_folder_with_two_series_is_refused(tmp_path):
    dicom_series(tmp_path / "ct", [0, 1])
    with pytest.raises(UnsupportedImage, match="2 DICOM series"):
        read_image(dicom_series(tmp_path / "ct", [0, 1], series="1.2.4"))


@pytest.mark.parametrize(
    ("positions", "across"),
    [
        ([0, 2, 6], (0, 0, 1)),  # one missing
        ([0, 1, 2, 3, 4, 5, 6, 7, 9], (0, 0, 1)),  # the last but one missing
        ([0, 0, 3, 3, 6, 6], (0, 0, 1)),  # two time points
        ([0, 2, 4, 6], (0, 0.4, 1)),  # tilted gantry
    ],
)
def test_slices_that_form_no_regular_grid_are_refused(tmp_path, positions, across):
    with pytest.raises(UnsupportedImage, match="regular grid"):
        read_image(dicom_series(tmp_path / "ct", positions, across=across))


def test_slices_of_different_sizes_are_refused(tmp_path):
    folder = dicom_series(tmp_path / "ct", [0, 1, 2])
    other = sitk.ReadImage(str(folder / "1.2.3.1.dcm"))[:5, :, :]
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(folder / "1.2.3.1.dcm"))
    writer.Execute(other)
    with pytest.raises((UnreadableImage, UnsupportedImage)):
        read_image(folder)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(["a.nii", "a.nii.gz", "a.nrrd", "a.mha", "a.png", "a.bmp", "a.tif"]),
    st.lists(st.tuples(st.integers(0, 399), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_damaged_headers_are_read_or_refused_but_never_surprise(tmp_path_factory, name, damage):
    path = tmp_path_factory.getbasetemp() / name
    picture = path.suffix in (".png", ".bmp", ".tif")
    sitk.WriteImage(
        sitk.GetImageFromArray(ramp(9, 8, dtype=np.uint8) if picture else ramp(4, 5, 6)), str(path)
    )
    content = bytearray(path.read_bytes())
    for place, byte in damage:
        content[place % len(content)] = byte
    path.write_bytes(content)
    with suppress(IBISAgentError):
        validate(read_image(path), name)


# What cannot be segmented


@pytest.mark.parametrize("shape", [(5, 4, 3, 2), (5, 4, 1, 2), (5, 4, 3, 1, 3)])
def test_four_dimensions_are_refused(tmp_path, shape):
    with pytest.raises(UnsupportedImage, match="dimensions"):
        read_image(nifti(tmp_path / "a.nii", ramp(*shape)))


def test_a_colour_volume_is_refused(tmp_path):
    colours = np.zeros((5, 4, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(UnsupportedImage, match="3 values a pixel"):
        read_image(nifti(tmp_path / "a.nii", colours))


def test_complex_pixels_are_refused(tmp_path):
    with pytest.raises(UnsupportedImage, match="complex"):
        read_image(nifti(tmp_path / "a.nii", np.zeros((5, 4, 3), np.complex64)))


@pytest.mark.parametrize("image", [sitk.Image(), sitk.Image([0, 4, 4], sitk.sitkUInt8)])
def test_an_image_without_extent_is_refused(image):
    with pytest.raises(UnsupportedImage, match="no extent"):
        validate(image, "a.nii")


def test_a_picture_of_two_components_is_refused():
    with pytest.raises(UnsupportedImage, match="2 values"):
        validate(sitk.Image([4, 4], sitk.sitkVectorUInt8, 2), "a.png")


def test_skewed_axes_are_refused(tmp_path):
    image = oblique_image()
    image.SetDirection((1, 0.3, 0, 0, 1, 0, 0, 0, 1))
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    with pytest.raises(UnsupportedImage, match="perpendicular"):
        read_image(tmp_path / "a.nrrd")


def test_an_origin_that_is_no_number_is_refused():
    image = oblique_image()
    image.SetOrigin((float("nan"), 0, 0))
    with pytest.raises(UnsupportedImage, match="geometry"):
        validate(image, "a.nrrd")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_intensities_that_are_no_numbers_are_refused(tmp_path, value, dtype, suffix):
    array = ramp(3, 4, 5, dtype=dtype)
    array[2, 3, 4] = value
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    with pytest.raises(NonFiniteImage, match="NaN"):
        read_image(path)


@pytest.mark.parametrize(
    "size", [(200_000, 200_000, 2_000), (MAX_SIDE + 1, 2, 2), (2_000, 2_000, 2_000)]
)
def test_a_header_that_promises_too_much_is_refused_before_pixels_are_loaded(tmp_path, size):
    path = tmp_path / "a.nrrd"
    sizes = " ".join(map(str, size))
    path.write_text(
        f"NRRD0004\ntype: short\ndimension: 3\nsizes: {sizes}\nencoding: raw\nendian: little\n\n"
    )
    with pytest.raises(OversizeImage, match=str(MAX_SIDE)):
        read_image(path)


def test_an_oversize_image_is_refused_when_it_is_in_memory_already():
    with pytest.raises(OversizeImage):
        validate(sitk.Image([MAX_SIDE + 1, 1], sitk.sitkUInt8), "a.png")


def test_memory_that_does_not_suffice_is_told(tmp_path, monkeypatch):
    def execute(self):
        raise RuntimeError("Failed to allocate memory for image.")

    path = nifti(tmp_path / "a.nii", ramp(5, 4, 3))
    monkeypatch.setattr(sitk.ImageFileReader, "Execute", execute)
    with pytest.raises(OversizeImage, match="memory"):
        read_image(path)


# Writing


@few
@given(affines(), shapes, st.integers(0, 2**32 - 1), st.sampled_from([".nii.gz", ".nrrd", ".mha"]))
def test_a_mask_marks_the_same_points_as_the_image(tmp_path_factory, affine, size, seed, suffix):
    folder = tmp_path_factory.getbasetemp()
    image_path = nifti(folder / "image.nii.gz", ramp(*size), affine)
    image = read_image(image_path)
    mask = np.random.default_rng(seed).integers(0, 2, size[::-1], dtype=np.uint8)
    path = folder / f"mask{suffix}"
    write_mask(mask, image, path)

    written = sitk.ReadImage(str(path))
    assert written.GetPixelID() == sitk.sitkUInt8
    assert written.GetSpacing() == pytest.approx(image.GetSpacing(), rel=1e-6)
    assert written.GetOrigin() == pytest.approx(image.GetOrigin(), abs=1e-4)
    assert written.GetDirection() == pytest.approx(image.GetDirection(), abs=1e-6)
    if suffix == ".nii.gz":
        ours, theirs = nib.load(path), nib.load(image_path)
        np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-3)
        marked = np.argwhere(np.asarray(ours.dataobj))
        np.testing.assert_allclose(
            nib.affines.apply_affine(ours.affine, marked),
            nib.affines.apply_affine(theirs.affine, np.argwhere(mask.T)),
            atol=1e-2,
        )


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_geometry_is_exact_where_the_format_can_hold_it(tmp_path, suffix):
    image = oblique_image()
    write_mask(np.ones((4, 5, 6), np.uint8), image, tmp_path / f"a{suffix}")
    written = sitk.ReadImage(str(tmp_path / f"a{suffix}"))
    assert written.GetOrigin() == image.GetOrigin()
    assert written.GetSpacing() == pytest.approx(image.GetSpacing(), rel=1e-15)
    assert written.GetDirection() == pytest.approx(image.GetDirection(), abs=1e-15)


def test_masks_are_compressed_and_keep_their_values(tmp_path):
    mask = np.zeros((64, 64, 64), np.uint8)
    mask[20:30] = 7
    image = sitk.GetImageFromArray(mask)
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        path = tmp_path / "new" / "folder" / f"a{suffix}"
        write_mask(mask, image, path)
        assert path.stat().st_size < mask.size / 20
        np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(path)), mask)


@pytest.mark.parametrize("suffix", [".png", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("colour", [False, True])
def test_masks_of_pictures_are_written(tmp_path, suffix, colour):
    shape = (6, 8, 3) if colour else (6, 8)
    image = sitk.GetImageFromArray(np.zeros(shape, np.uint8), isVector=colour)
    mask = np.random.default_rng(0).random((6, 8)) > 0.5
    for array in (mask, mask[np.newaxis], mask.astype(np.uint8)):
        write_mask(array, image, tmp_path / f"a{suffix}")
        written = read_image(tmp_path / f"a{suffix}")
        np.testing.assert_array_equal(sitk.GetArrayFromImage(written), mask)


def test_masks_have_the_rights_of_ordinary_files(tmp_path):
    write_mask(np.zeros((4, 5, 6), np.uint8), oblique_image(), tmp_path / "a.nrrd")
    (tmp_path / "b").touch()
    assert (tmp_path / "a.nrrd").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize("name", ["a.png", "a.nii", "a.dcm", "a", "a.jpg"])
def test_unknown_suffixes_are_refused_with_the_choices(tmp_path, name):
    with pytest.raises(InvalidRequest, match=r"\.nii\.gz, \.nrrd, \.mha"):
        write_mask(np.zeros((4, 5, 6), np.uint8), oblique_image(), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("shape", "dtype"), [((6, 5, 4), np.uint8), ((4, 5, 6), np.int16)])
def test_masks_that_do_not_fit_are_our_mistake(tmp_path, shape, dtype):
    with pytest.raises((ValueError, TypeError)):
        write_mask(np.zeros(shape, dtype), oblique_image(), tmp_path / "a.nrrd")
    assert not list(tmp_path.iterdir())


@contextmanager
def files_end_at(size: int):
    """What a full disk does: a write stops short and the next one fails."""
    resource = pytest.importorskip("resource", reason="Windows has no limit on file sizes")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".png"])
def test_a_full_disk_is_told_and_leaves_the_old_file(tmp_path, suffix):
    shape = (600, 600) if suffix == ".png" else (20, 100, 100)
    mask = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = sitk.GetImageFromArray(mask)
    path = tmp_path / f"a{suffix}"
    write_mask(mask * 0, image, path)
    old = path.read_bytes()
    with files_end_at(20_000), pytest.raises(OutputNotWritable, match="room"):
        write_mask(mask, image, path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == old


def test_a_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputNotWritable, match="folder"):
        write_mask(np.zeros((4, 5, 6), np.uint8), oblique_image(), tmp_path / "file" / "a.nrrd")


def test_a_file_that_is_a_folder_is_told(tmp_path):
    (tmp_path / "a.nrrd").mkdir()
    with pytest.raises(OutputNotWritable):
        write_mask(np.zeros((4, 5, 6), np.uint8), oblique_image(), tmp_path / "a.nrrd")
    assert [path.name for path in tmp_path.iterdir()] == ["a.nrrd"]


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_folder_without_permission_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputNotWritable):
        write_mask(np.zeros((4, 5, 6), np.uint8), oblique_image(), tmp_path / "a.nrrd")
    tmp_path.chmod(0o700)


def test_a_failure_of_the_last_step_leaves_nothing(tmp_path, monkeypatch):
    def replace(self, target):
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OutputNotWritable):
        write_mask(np.zeros((4, 5, 6), np.uint8), oblique_image(), tmp_path / "a.nrrd")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["t1w", "t2", "t2s", "pam50_t2"])
def test_real_masks_go_back_where_they_came_from(data_dir, tmp_path, name):
    folder = data_dir / "vol_mr_spinalcord_sct" / "volumes"
    image = read_image(folder / f"{name}.nii.gz")
    theirs = nib.load(folder / f"{name}_seg.nii.gz")
    write_mask(np.asarray(theirs.dataobj).T.astype(np.uint8), image, tmp_path / "mask.nii.gz")
    ours = nib.load(tmp_path / "mask.nii.gz")
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-3)
    np.testing.assert_array_equal(np.asarray(ours.dataobj), np.asarray(theirs.dataobj))
