"""The extension derives from a volume what the server's pictures show, voxel for voxel."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ibisagent.actions import Click
from ibisagent.slices import SliceView
from IBISAgentLib.errors import InvalidMask, OutsideVolume
from IBISAgentLib.geometry import PLANES, Box, Grid, SlicePicture
from IBISAgentLib.protocol import SliceRecord

many = settings(max_examples=150, deadline=None)
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@st.composite
def grids(draw) -> Grid:
    """Of any orientation: oblique, flipped, permuted, anisotropic, left-handed."""
    angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
    if draw(st.booleans()):
        angles = [90 * round(angle / 90) for angle in angles]
    matrix = Rotation.from_euler("zyx", angles, degrees=True).as_matrix()
    matrix = matrix[:, draw(st.permutations(range(3)))]
    matrix = matrix * draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = matrix * draw(st.tuples(*[st.floats(0.4, 6)] * 3))
    ijk_to_ras[:3, 3] = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    grid = Grid(ijk_to_ras, draw(st.tuples(*[st.integers(1, 9)] * 3)))
    assume(not halfway(grid))
    return grid


def halfway(grid: Grid) -> bool:
    """Whether an axis lies just between two planes, where rounding decides."""
    cosines = np.sort(np.abs(grid.direction), axis=1)
    return bool((cosines[:, 2] - cosines[:, 1] < 1e-6).any())


def image_of(grid: Grid) -> sitk.Image:
    image = sitk.Image([int(n) for n in grid.size], sitk.sitkUInt8)
    image.SetSpacing(grid.spacing.tolist())
    image.SetDirection(grid.direction.ravel().tolist())
    image.SetOrigin(grid.origin.tolist())
    return image


def picture_and_view(grid, plane, data) -> tuple[SlicePicture, SliceView]:
    view = SliceView(image_of(grid), plane)
    index = data.draw(st.integers(0, grid.count(plane) - 1))
    return SlicePicture(grid, plane, index), view


@many
@given(grids(), st.sampled_from(PLANES), st.data())
def test_pixels_and_voxels_are_the_servers(grid, plane, data):
    picture, view = picture_and_view(grid, plane, data)
    assert (grid.count(plane), picture.shape) == (view.count, view.shape)
    height, width = view.shape
    row = data.draw(st.integers(0, height - 1))
    column = data.draw(st.integers(0, width - 1))
    voxel = view.pixel_to_index(row, column, picture.index)
    assert picture.voxel_at(row, column) == voxel
    assert (*picture.pixel_of(voxel), picture.index) == view.index_to_pixel(*voxel)


@many
@given(grids(), st.sampled_from(PLANES), st.data())
def test_masks_fill_the_voxels_that_the_server_fills(grid, plane, data):
    picture, view = picture_and_view(grid, plane, data)
    seed = data.draw(st.integers(0, 2**32 - 1))
    mask = np.random.default_rng(seed).random(view.shape) < 0.4
    theirs = np.zeros(grid.size[::-1], np.uint8)
    view.into_volume(mask, theirs, picture.index)
    box = picture.box(mask)
    ours = np.zeros_like(theirs)
    place(box, ours)
    np.testing.assert_array_equal(ours, theirs)
    assert box.voxels.dtype == np.uint8
    cropped = box.cropped()
    if cropped is None:
        assert not theirs.any()
    else:
        ours[...] = 0
        place(cropped, ours)
        np.testing.assert_array_equal(ours, theirs)
        assert all(cropped.voxels.any(axis=axes)[0] for axes in ((1, 2), (0, 2), (0, 1)))
        assert all(cropped.voxels.any(axis=axes)[-1] for axes in ((1, 2), (0, 2), (0, 1)))


def place(box: Box, volume: np.ndarray) -> None:
    i0, i1, j0, j1, k0, k1 = box.extent
    volume[k0 : k1 + 1, j0 : j1 + 1, i0 : i1 + 1] = box.voxels


@many
@given(grids(), st.tuples(*[st.floats(-20, 20)] * 3))
def test_places_are_those_of_simpleitk(grid, ijk):
    image = image_of(grid)
    lps = image.TransformContinuousIndexToPhysicalPoint(ijk)
    ras = grid.to_ras(ijk)
    np.testing.assert_allclose(ras, np.array(lps) * (-1, -1, 1), atol=1e-9)
    np.testing.assert_allclose(grid.to_ijk(ras), ijk, atol=1e-9)


@many
@given(grids(), st.sampled_from(PLANES), st.data())
def test_a_click_in_the_patient_hits_its_voxel_on_the_server(grid, plane, data):
    voxel = tuple(data.draw(st.integers(0, n - 1)) for n in grid.size)
    within = data.draw(st.tuples(*[st.floats(-0.45, 0.45)] * 3))
    ras = grid.to_ras(np.add(voxel, within))
    assert grid.voxel_at(ras) == voxel
    index, x, y = grid.place(plane, ras)
    view = SliceView(image_of(grid), plane)
    row, column = Click(x, y).to_pixel(*view.shape)
    assert view.pixel_to_index(row, column, index) == voxel


@many
@given(grids(), st.sampled_from(PLANES), st.floats(0, 1), st.floats(0, 1), st.data())
def test_from_the_picture_to_the_patient_and_back(grid, plane, x, y, data):
    picture, _ = picture_and_view(grid, plane, data)
    ras = picture.ras_at(x, y)
    back = SlicePicture.fractions_at(picture, picture.centre + (ras - picture.centre) * (1 - 1e-9))
    np.testing.assert_allclose(back, (x, y), atol=1e-6)
    assert grid.to_ijk(ras)[picture.axis] == pytest.approx(picture.index)


@many
@given(grids(), st.sampled_from(PLANES))
def test_pictures_are_turned_as_slicer_turns_them(grid, plane):
    picture = SlicePicture(grid, plane, 0)
    to_right = picture.ras_at(1, 0.5) - picture.ras_at(0, 0.5)
    down = picture.ras_at(0.5, 1) - picture.ras_at(0.5, 0)
    left, posterior, inferior = (-1, 0, 0), (0, -1, 0), (0, 0, -1)
    assert to_right @ (posterior if plane == "sagittal" else left) > 0
    assert down @ (posterior if plane == "axial" else inferior) > 0


def test_a_slice_in_each_plane_by_hand():
    """Voxels 1 x 1 x 3 mm, stored as most CT: i to Left, j to Posterior, k to Superior."""
    grid = Grid(np.diag([-1.0, -1.0, 3.0, 1.0]), (4, 5, 2))
    assert SlicePicture(grid, "axial", 1).shape == (5, 4)
    coronal = SlicePicture(grid, "coronal", 2)
    assert coronal.shape == (6, 4)
    assert coronal.voxel_at(0, 3) == (3, 2, 1)  # upper right: Left and Superior
    np.testing.assert_allclose(coronal.ras_at(0, 0), (0.5, -2, 4.5))
    assert grid.place("axial", (-3, -2, 3)) == (1, 3.5 / 4, 2.5 / 5)


def test_the_picture_of_a_2d_image_is_as_stored():
    picture = SlicePicture(Grid(np.diag([-1.0, -1.0, 1.0, 1.0]), (4, 5, 1)), "picture", 0)
    assert picture.shape == (5, 4)
    assert picture.voxel_at(4, 1) == (1, 4, 0)


@pytest.mark.parametrize("size", [(3000, 700, 2), (2000, 2, 900), (5, 2100, 3)])
@pytest.mark.parametrize("plane", PLANES)
def test_long_sides_are_enlarged_as_far_as_the_server_does(size, plane):
    grid = Grid(np.diag([0.3, 1.0, 5.0, 1.0]), size)
    assert SlicePicture(grid, plane, 0).shape == SliceView(image_of(grid), plane).shape


def test_what_is_outside_is_refused():
    grid = Grid(np.eye(4), (4, 5, 6))
    with pytest.raises(OutsideVolume):
        grid.voxel_at((-0.6, 0, 0))
    with pytest.raises(OutsideVolume):
        grid.place("axial", (0, 5, 0))
    with pytest.raises(OutsideVolume, match="no axial slice 6"):
        SlicePicture(grid, "axial", 6)
    with pytest.raises(OutsideVolume):
        SlicePicture(grid, "axial", -1)
    with pytest.raises(OutsideVolume, match="beside"):
        SlicePicture(grid, "axial", 0).fractions_at((9, 0, 0))


def test_a_slice_of_another_volume_is_refused():
    grid = Grid(np.eye(4), (4, 5, 6))
    record = SliceRecord("a", "axial", 2, 5, 4)
    assert SlicePicture.of(grid, record).index == 2
    with pytest.raises(InvalidMask, match="7 x 4"):
        SlicePicture.of(grid, SliceRecord("a", "axial", 2, 7, 4))
    with pytest.raises(InvalidMask):
        SlicePicture.of(grid, record).box(np.zeros((4, 5), bool))


def test_a_block_also_covers_what_stood_there_before():
    picture = SlicePicture(Grid(np.diag([-1.0, -1.0, 1.0, 1.0]), (8, 8, 3)), "axial", 1)
    before, after = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    before[1, 2], after[5, 6] = True, True
    box = picture.box(after).cropped(picture.box(before))
    assert box.extent == (2, 6, 1, 5, 1, 1)
    assert box.voxels.sum() == 1
    gone = picture.box(after & False).cropped(picture.box(before))
    assert gone.extent == (2, 2, 1, 1, 1, 1)
    assert not gone.voxels.any()
    with pytest.raises(ValueError, match="different places"):
        box.cropped(gone)


def test_shear_is_measured():
    assert Grid(np.eye(4), (1, 1, 1)).shear == 0
    tilted = np.eye(4)
    tilted[1, 2] = 0.1
    assert Grid(tilted, (1, 1, 1)).shear == pytest.approx(0.0995, abs=1e-4)
