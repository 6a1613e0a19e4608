from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ibisagent.errors import InvalidClick, InvalidRequest, SliceOutOfRange
from ibisagent.slices import MAX_ENLARGED_SIDE, Plane, SliceView
from ibisagent.volume import read_image

PLANES = ["axial", "coronal", "sagittal"]

# nibabel's world is RAS: x to the right, y to anterior, z to superior.
RIGHT = {"axial": (0, -1), "coronal": (0, -1), "sagittal": (1, -1)}  # Left, Left, Posterior
DOWN = {"axial": (1, -1), "coronal": (2, -1), "sagittal": (2, -1)}  # Posterior, Inferior


few = settings(max_examples=50, deadline=None)  # each example reads a file

MILLIMETRES = st.floats(0.4, 6)


@st.composite
def affines(draw, spacings=MILLIMETRES) -> np.ndarray:
    """RAS affines of any orientation: oblique, flipped, permuted, anisotropic, left-handed."""
    angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
    if draw(st.booleans()):
        angles = [45 * round(angle / 45) for angle in angles]  # square, or on the diagonal
    matrix = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    matrix = matrix[:, draw(st.permutations(range(3)))]
    matrix = matrix * draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    affine = np.eye(4)
    affine[:3, :3] = matrix * draw(st.tuples(*[spacings] * 3))
    affine[:3, 3] = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    return affine


shapes = st.tuples(*[st.integers(1, 9)] * 3)


def load(array_ijk: np.ndarray, affine: np.ndarray, folder) -> tuple[sitk.Image, np.ndarray]:
    """The image as we read it from a file, and the file's affine as nibabel reads it."""
    path = folder / "image.nii"
    nib.save(nib.Nifti1Image(array_ijk, affine), path)
    return read_image(path), nib.load(path).affine


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("slices")


def volume_image(size=(6, 5, 4), spacing=(1.0, 1.0, 1.0), dtype=np.int16) -> sitk.Image:
    array = np.arange(np.prod(size)).reshape(size[::-1]).astype(dtype)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    return image


def cosines(affine: np.ndarray) -> np.ndarray:
    return affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)


@few
@given(affines(), shapes, st.data())
def test_a_bright_voxel_is_found_on_its_picture_and_on_no_other(folder, affine, size, data):
    voxel = tuple(data.draw(st.integers(0, n - 1)) for n in size)
    array = np.zeros(size, np.int16)
    array[voxel] = 1000
    image, _ = load(array, affine, folder)
    for plane in PLANES:
        view = SliceView(image, plane, "500,1000")
        row, column, index = view.index_to_pixel(*voxel)
        picture = view.rgb(index)[:, :, 0]
        brightest = np.unravel_index(picture.argmax(), picture.shape)
        assert view.pixel_to_index(*map(int, brightest), index) == voxel
        assert view.pixel_to_index(row, column, index) == voxel
        assert picture[row, column] >= 127
        assert not any(view.rgb(other).any() for other in range(view.count) if other != index)


@few
@given(affines(), st.tuples(*[st.integers(2, 9)] * 3))
def test_pictures_run_to_left_posterior_and_inferior(folder, affine, size):
    image, affine = load(np.zeros(size, np.int16), affine, folder)
    across = set()
    for plane in PLANES:
        view = SliceView(image, plane)
        height, width = view.shape
        first = np.array(view.pixel_to_index(0, 0, 0))
        for last, (axis, sign) in (
            (view.pixel_to_index(0, width - 1, 0), RIGHT[plane]),
            (view.pixel_to_index(height - 1, 0, 0), DOWN[plane]),
        ):
            step = affine[:3, :3] @ (last - first)  # in the patient, by nibabel's affine
            assert step[axis] * sign > 0
        across.add(axis_across(view))
    assert across == {0, 1, 2}  # no two planes slice along the same voxel axis


def axis_across(view: SliceView) -> int:
    here, there = (np.array(view.pixel_to_index(0, 0, index)) for index in (0, 1))
    return int(np.argmax(there - here))


@few
@given(affines(spacings=st.just(1.5)), shapes)
def test_pictures_equal_those_of_nibabels_canonical_volume(folder, affine, size):
    assume(np.abs(cosines(affine)).max(axis=0).min() > 0.8)  # where "closest" is no matter of taste
    array = np.arange(np.prod(size), dtype=np.int16).reshape(size)
    image, _ = load(array, affine, folder)
    canonical = nib.as_closest_canonical(nib.load(folder / "image.nii"))
    turned = np.asarray(canonical.dataobj)[::-1, ::-1, ::-1]  # to Left, Posterior, Inferior
    for plane, order in (("axial", (2, 1, 0)), ("coronal", (1, 2, 0)), ("sagittal", (0, 2, 1))):
        view = SliceView(image, plane)
        stack = np.array([view.from_volume(array.T, index) for index in range(view.count)])
        expected = turned.transpose(order)
        assert np.array_equal(stack, expected) or np.array_equal(stack, expected[::-1])


@few
@given(affines(), shapes, st.integers(0, 2**32 - 1))
def test_masks_survive_the_way_to_the_picture_and_back(folder, affine, size, seed):
    labels = np.random.default_rng(seed).integers(0, 9, size[::-1]).astype(np.uint8)
    image, _ = load(labels.T, affine, folder)
    for plane in PLANES:
        view = SliceView(image, plane)
        back = np.full_like(labels, 99)
        for index in range(view.count):
            view.into_volume(view.from_volume(labels, index), back, index)
        np.testing.assert_array_equal(back, labels)


@few
@given(affines(), shapes, st.data())
def test_pixels_masks_and_voxels_agree(folder, affine, size, data):
    labels = np.arange(np.prod(size), dtype=np.int32).reshape(size[::-1])
    image, _ = load(labels.T, affine, folder)
    view = SliceView(image, data.draw(st.sampled_from(PLANES)))
    index = data.draw(st.integers(0, view.count - 1))
    row, column = (data.draw(st.integers(0, n - 1)) for n in view.shape)
    i, j, k = view.pixel_to_index(row, column, index)
    assert view.from_volume(labels, index)[row, column] == labels[k, j, i]
    centre = view.index_to_pixel(i, j, k)
    assert view.pixel_to_index(*centre) == (i, j, k)
    drawn = np.zeros(view.shape, bool)
    drawn[centre[:2]] = True
    marked = np.zeros(labels.shape, bool)
    view.into_volume(drawn, marked, index)
    assert np.argwhere(marked).tolist() == [[k, j, i]]


@few
@given(affines(), shapes)
def test_pixels_are_square(folder, affine, size):
    image, _ = load(np.zeros(size, np.int16), affine, folder)
    for plane in PLANES:
        view = SliceView(image, plane)
        start, right, down = (
            view.pixel_to_index(*pixel, 0)
            for pixel in ((0, 0), (0, view.shape[1] - 1), (view.shape[0] - 1, 0))
        )
        for pixels, end in zip(view.shape, (down, right), strict=True):
            axis = int(np.argmax(np.abs(np.subtract(end, start)))) if end != start else None
            if axis is not None:
                extent = image.GetSize()[axis] * image.GetSpacing()[axis]
                assert pixels * view.spacing == pytest.approx(extent, rel=0.011, abs=view.spacing)


def test_coarse_spacing_is_interpolated_as_itk_does():
    image = sitk.GetImageFromArray(
        np.random.default_rng(0).normal(100, 40, (7, 6, 9)).astype(np.float32)
    )
    image.SetSpacing((0.8, 1.1, 2.4))
    view = SliceView(image, "coronal", "100,200")
    grid = sitk.Image([9, 6, 21], sitk.sitkFloat32)
    grid.SetSpacing((0.8, 1.1, 0.8))
    grid.SetOrigin((0, 0, -0.8))
    fine = sitk.GetArrayFromImage(sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear))
    expected = np.clip(fine[::-1, 3, :] / 200 * 255, 0, 255)
    assert view.shape == (21, 9)
    inner = slice(2, -2)  # ITK does not reach beyond the outermost voxel centres
    np.testing.assert_allclose(view.rgb(3)[inner, :, 0], expected[inner], atol=0.51)


def test_very_anisotropic_slices_are_enlarged_only_so_far():
    image = volume_image((300, 3, 4), (50.0, 1.0, 0.1))
    view = SliceView(image, "coronal")
    assert view.shape == (4, MAX_ENLARGED_SIDE)
    assert view.spacing == 0.1
    labels = sitk.GetArrayFromImage(image)
    back = np.zeros_like(labels)
    for index in range(view.count):
        view.into_volume(view.from_volume(labels, index), back, index)
    np.testing.assert_array_equal(back, labels)


def test_a_side_of_more_voxels_than_the_limit_keeps_them_all():
    view = SliceView(volume_image((3000, 2, 2), (1.0, 1.0, 0.1)), "axial")
    assert view.shape == (2, 3000)
    assert SliceView(volume_image((3000, 2, 2), (1.0, 1.0, 0.1)), "coronal").shape == (2, 3000)


def test_nearly_equal_spacings_count_as_equal():
    view = SliceView(volume_image((200, 200, 1), (0.8105, 0.81055, 3.0)), "axial")
    assert view.shape == (200, 200)


@few
@given(affines(), st.sampled_from(PLANES))
def test_a_volume_of_one_slice_has_all_planes(folder, affine, plane):
    image, _ = load(np.ones((5, 4, 1), np.int16), affine, folder)
    view = SliceView(image, plane)
    assert view.rgb(view.middle).shape == (*view.shape, 3)


def test_colour_pictures_pass_through_unchanged():
    colour = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    view = SliceView(sitk.GetImageFromArray(colour, isVector=True), "axial", "bone")
    assert (view.plane, view.count, view.middle, view.shape) == (Plane.PICTURE, 1, 0, (6, 8))
    np.testing.assert_array_equal(view.rgb(0), colour)


def test_colour_of_sixteen_bits_is_scaled():
    colour = np.array([[[0, 32896, 65535]]], dtype=np.uint16)
    view = SliceView(sitk.GetImageFromArray(colour, isVector=True), "picture")
    assert view.rgb(0).tolist() == [[[0, 128, 255]]]


def test_the_picture_plane_is_as_stored():
    grey = np.arange(12, dtype=np.uint16).reshape(3, 4)
    view = SliceView(sitk.GetImageFromArray(grey), "sagittal", "5.5,11")
    assert view.rgb(0)[0, 0].tolist() == [0, 0, 0]
    assert view.rgb(0)[2, 3].tolist() == [255, 255, 255]
    assert view.pixel_to_index(2, 1, 0) == (1, 2, 0)
    assert view.index_to_pixel(1, 2, 0) == (2, 1, 0)
    np.testing.assert_array_equal(view.from_volume(grey, 0), grey)
    np.testing.assert_array_equal(view.from_volume(grey[np.newaxis], 0), grey)
    mask = np.zeros((3, 4), np.uint8)
    view.into_volume(grey > 5, mask, 0)
    np.testing.assert_array_equal(mask, grey > 5)
    assert view.volume_shape == (1, 3, 4)


def test_pictures_do_not_lend_out_the_image():
    image = volume_image()
    view = SliceView(image, "axial")
    labels = sitk.GetArrayFromImage(image)
    view.from_volume(labels, 0)[...] = 0
    assert labels[0].any()
    view.rgb(0)[...] = 0
    assert view.rgb(0).any()


def test_a_view_outlives_the_variable_of_its_image():
    view = SliceView(volume_image((64, 64, 64)), "axial")
    assert view.rgb(0).any()


@pytest.mark.parametrize("index", [-1, 4, 10**9])
def test_slices_outside_the_volume_are_refused_with_the_range(index):
    view = SliceView(volume_image(), "axial")
    volume = np.zeros((4, 5, 6), np.uint8)
    for call in (
        lambda: view.rgb(index),
        lambda: view.from_volume(volume, index),
        lambda: view.into_volume(np.zeros((5, 6)), volume, index),
        lambda: view.pixel_to_index(0, 0, index),
    ):
        with pytest.raises(SliceOutOfRange, match="0 to 3"):
            call()


@pytest.mark.parametrize("pixel", [(-1, 0), (5, 0), (0, 6), (0, -1)])
def test_pixels_outside_the_picture_are_refused(pixel):
    with pytest.raises(InvalidClick, match="0 to 4"):
        SliceView(volume_image(), "axial").pixel_to_index(*pixel, 0)


@pytest.mark.parametrize("voxel", [(-1, 0, 0), (6, 0, 0), (0, 5, 0), (0, 0, 4)])
def test_voxels_outside_the_volume_are_refused(voxel):
    with pytest.raises(InvalidClick, match="6 x 5 x 4"):
        SliceView(volume_image(), "axial").index_to_pixel(*voxel)


@pytest.mark.parametrize("plane", ["transverse", "", "Plane.AXIAL"])
def test_unknown_planes_are_refused_with_the_choices(plane):
    for image in (volume_image(), sitk.GetImageFromArray(np.zeros((3, 4), np.uint8))):
        with pytest.raises(InvalidRequest, match="axial, coronal, sagittal"):
            SliceView(image, plane)


def test_a_volume_has_no_picture_plane():
    with pytest.raises(InvalidRequest, match="axial, coronal or sagittal"):
        SliceView(volume_image(), Plane.PICTURE)


def test_planes_are_read_in_any_case():
    assert SliceView(volume_image(), " Coronal ").plane is Plane.CORONAL
    assert SliceView(volume_image(), Plane.SAGITTAL).plane is Plane.SAGITTAL


def test_arrays_of_other_shapes_are_our_mistake():
    view = SliceView(volume_image(), "axial")
    with pytest.raises(ValueError, match="expected"):
        view.from_volume(np.zeros((6, 5, 4)), 0)
    with pytest.raises(ValueError, match="picture of shape"):
        view.into_volume(np.zeros((6, 5)), np.zeros((4, 5, 6)), 0)


@pytest.fixture(scope="module")
def ct(data_dir) -> tuple[sitk.Image, np.ndarray, dict[str, int]]:
    """A real CT of thorax and abdomen, its label volume (k, j, i), and label ids by name."""
    folder = data_dir / "vol_totalseg_ct_mr"
    items = json.loads((folder / "manifest.json").read_text())["items"]
    item = next(item for item in items if item["image"].endswith("ct_3mm.nii.gz"))
    ids = {name: int(value) for value, name in item["labels"].items()}
    labels = sitk.GetArrayFromImage(read_image(folder / item["label"]))
    return read_image(folder / item["image"]), labels, ids


def centre(view: SliceView, mask: np.ndarray) -> np.ndarray:
    """Mean (row, column) of a mask over all pictures, as fractions of the picture."""
    slices = (view.from_volume(mask, index) for index in range(view.count))
    points = np.concatenate([np.argwhere(picture) for picture in slices])
    return points.mean(axis=0) / view.shape


@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_left_is_on_the_right_of_the_picture_of_a_real_patient(ct, plane):
    image, labels, ids = ct
    view = SliceView(image, plane)
    for left in ("kidney left", "spleen", "femur left", "hip left"):
        assert centre(view, labels == ids[left])[1] > 0.5
    for right in ("kidney right", "liver", "gallbladder", "femur right", "hip right"):
        assert centre(view, labels == ids[right])[1] < 0.5


def test_spine_is_behind_and_bladder_is_below_in_a_real_patient(ct):
    image, labels, ids = ct
    spine, bladder = labels == ids["vertebrae L3"], labels == ids["urinary bladder"]
    axial, coronal, sagittal = (SliceView(image, plane) for plane in PLANES)
    assert centre(axial, spine)[0] > centre(axial, bladder)[0]
    assert centre(sagittal, spine)[1] > centre(sagittal, bladder)[1]
    assert centre(coronal, bladder)[0] > centre(coronal, spine)[0]
    assert centre(sagittal, bladder)[0] > centre(sagittal, spine)[0]


@pytest.mark.parametrize("name", ["t1w", "t2", "t2s", "pam50_t2"])
def test_real_volumes_oblique_permuted_and_left_handed_keep_their_masks(data_dir, name):
    folder = data_dir / "vol_mr_spinalcord_sct" / "volumes"
    image = read_image(folder / f"{name}.nii.gz")
    labels = sitk.GetArrayFromImage(read_image(folder / f"{name}_seg.nii.gz"))
    for plane in PLANES:
        view = SliceView(image, plane)
        back = np.zeros_like(labels)
        for index in range(view.count):
            view.into_volume(view.from_volume(labels, index), back, index)
        np.testing.assert_array_equal(back, labels)
