"""The server gets the selected volume as it lies in the patient, once, or a reason why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import vtk
from scipy.spatial.transform import Rotation
from vtk.util.numpy_support import get_vtk_array_type, numpy_to_vtk

from ibisagent.volume import read_image
from IBISAgentLib.client import Client
from IBISAgentLib.errors import Cancelled, UnsupportedTransform, UnsupportedVolume
from IBISAgentLib.geometry import Grid
from IBISAgentLib.upload import Snapshot, Volumes, check_volume, upload, world_grid

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

URL = "http://127.0.0.1:8000"
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("zyx", (20, -15, 40), degrees=True).as_matrix() * (1, -2, 3)
OBLIQUE[:3, 3] = (-40, 30, 7.5)


@pytest.fixture
def scene():
    scene = slicer.vtkMRMLScene()
    yield scene
    scene.Clear(True)


def matrix_of(array: np.ndarray) -> vtk.vtkMatrix4x4:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.ascontiguousarray(array, float).ravel().tolist())
    return matrix


def volume(scene, voxels=None, ijk_to_ras=OBLIQUE, kind="vtkMRMLScalarVolumeNode"):
    if voxels is None:
        voxels = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    image = vtk.vtkImageData()
    image.SetDimensions(voxels.shape[2::-1])
    flat = voxels.reshape(image.GetNumberOfPoints(), -1)
    scalars = numpy_to_vtk(flat, deep=True, array_type=get_vtk_array_type(voxels.dtype))
    image.GetPointData().SetScalars(scalars)
    node = scene.AddNewNodeByClass(kind, "Doe^John")
    node.SetAndObserveImageData(image)
    node.SetIJKToRASMatrix(matrix_of(ijk_to_ras))
    return node


def under(scene, node, array: np.ndarray):
    """Puts a node under a linear transform; returns the transform's node."""
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(matrix_of(array))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def turned(degrees: float, scale: float = 1.0) -> np.ndarray:
    array = np.eye(4)
    array[:3, :3] = Rotation.from_euler("z", degrees, degrees=True).as_matrix() * scale
    array[:3, 3] = (5, 6, 7)
    return array


def sent(node, folder: Path) -> sitk.Image:
    """The image as the server reads it."""
    path = folder / "volume.nrrd"
    Volumes().take(node, URL).write(path, compress=True)
    return read_image(path)


def assert_lies_at(image: sitk.Image, ijk_to_ras: np.ndarray) -> None:
    for ijk in np.ndindex(2, 2, 2):
        lps = image.TransformIndexToPhysicalPoint([int(v) for v in ijk])
        ras = np.array(lps) * (-1, -1, 1)
        np.testing.assert_allclose(ras, ijk_to_ras[:3, :3] @ ijk + ijk_to_ras[:3, 3], atol=1e-4)


def test_voxels_and_geometry_arrive(scene, tmp_path):
    node = volume(scene)
    image = sent(node, tmp_path)
    expected = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), expected)
    assert_lies_at(image, OBLIQUE)


def test_the_file_is_what_slicer_itself_would_save(scene, tmp_path):
    node = volume(scene)
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(str(tmp_path / "slicer.nrrd"))
    assert storage.WriteData(node)
    theirs, ours = sitk.ReadImage(str(tmp_path / "slicer.nrrd")), sent(node, tmp_path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(theirs))
    np.testing.assert_allclose(ours.GetDirection(), theirs.GetDirection(), atol=1e-9)
    np.testing.assert_allclose(ours.GetSpacing(), theirs.GetSpacing())
    np.testing.assert_allclose(ours.GetOrigin(), theirs.GetOrigin())


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
def test_every_type_of_voxel_arrives(scene, tmp_path, dtype):
    voxels = np.arange(24).reshape(2, 3, 4).astype(dtype)
    image = sent(volume(scene, voxels), tmp_path)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), voxels)


@pytest.mark.parametrize(
    "transform",
    [turned(0), turned(30), turned(90, 2.0), np.diag([-1.0, 1, 1, 1]), np.diag([2.0, 3, 4, 1])],
    ids=["moved", "turned", "grown", "mirrored", "stretched"],
)
def test_a_linear_transform_is_hardened(scene, tmp_path, transform):
    ijk_to_ras = np.diag([-1.0, -1.0, 2.0, 1.0])
    node = volume(scene, ijk_to_ras=ijk_to_ras)
    under(scene, node, transform)
    image = sent(node, tmp_path)
    assert_lies_at(image, transform @ ijk_to_ras)
    node.HardenTransform()  # what Slicer makes of it
    hardened = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(hardened)
    np.testing.assert_allclose(world_grid(node).ijk_to_ras, transform @ ijk_to_ras, atol=1e-9)
    assert hardened.GetElement(0, 3) == pytest.approx((transform @ ijk_to_ras)[0, 3])


def test_transforms_under_transforms(scene, tmp_path):
    node = volume(scene)
    inner = under(scene, node, turned(30))
    under(scene, inner, turned(-50))
    assert_lies_at(sent(node, tmp_path), turned(-50) @ turned(30) @ OBLIQUE)


def test_the_node_itself_is_left_alone(scene, tmp_path):
    node = volume(scene)
    transform = under(scene, node, turned(30))
    before = node.GetImageData().GetMTime()
    sent(node, tmp_path)
    assert node.GetTransformNodeID() == transform.GetID()
    assert node.GetImageData().GetMTime() == before


def test_shear_is_refused(scene):
    node = volume(scene)
    sheared = np.eye(4)
    sheared[0, 1] = 0.2
    transform = under(scene, node, sheared)
    with pytest.raises(UnsupportedTransform, match="right angles") as refused:
        Volumes().take(node, URL)
    assert "Resample" in refused.value.fix
    node.SetAndObserveTransformNodeID(None)
    node.SetIJKToRASMatrix(matrix_of(sheared))  # gantry tilt
    with pytest.raises(UnsupportedTransform):
        world_grid(node)
    transform.SetMatrixTransformToParent(matrix_of(np.linalg.inv(sheared)))
    node.SetAndObserveTransformNodeID(transform.GetID())
    assert world_grid(node).shear < 1e-9  # the transform sets the tilt right


@pytest.mark.parametrize("kind", ["vtkMRMLGridTransformNode", "vtkMRMLBSplineTransformNode"])
def test_a_transform_that_bends_is_refused(scene, kind):
    node = volume(scene)
    transform = scene.AddNewNodeByClass(kind)
    if kind == "vtkMRMLGridTransformNode":
        grid = vtk.vtkImageData()
        grid.SetDimensions(3, 3, 3)
        grid.AllocateScalars(vtk.VTK_DOUBLE, 3)
        bending = slicer.vtkOrientedGridTransform()
        bending.SetDisplacementGridData(grid)
        transform.SetAndObserveTransformFromParent(bending)
    else:
        transform.SetAndObserveTransformFromParent(slicer.vtkOrientedBSplineTransform())
    node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(UnsupportedTransform, match="bends") as refused:
        world_grid(node)
    assert "Harden" in refused.value.fix


@pytest.mark.parametrize("flat", [0.0, np.nan])
def test_axes_that_span_no_space_are_refused(scene, flat):
    node = volume(scene)
    under(scene, node, np.diag([1, 1, flat, 1]))
    with pytest.raises(UnsupportedTransform, match="span"):
        world_grid(node)


def test_what_is_no_volume_of_grey_values_is_refused(scene):
    colours = np.zeros((4, 5, 6, 3), np.uint8)
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    for node, word in (
        (None, "No volume"),
        (scene.AddNewNodeByClass("vtkMRMLModelNode"), "No volume"),
        (empty, "empty"),
        (volume(scene, kind="vtkMRMLLabelMapVolumeNode"), "labelmap"),
        (volume(scene, colours), "colours"),
        (volume(scene, colours, kind="vtkMRMLVectorVolumeNode"), "colours"),
    ):
        with pytest.raises(UnsupportedVolume, match=word) as refused:
            check_volume(node)
        assert refused.value.fix


def test_the_name_on_the_server_says_nothing_but_the_content(scene):
    one, same = Volumes().take(volume(scene), URL), Volumes().take(volume(scene), URL)
    assert one.image == same.image
    assert one.image.startswith("slicer-")
    assert "Doe" not in one.image
    voxels = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    others = [
        volume(scene, voxels.reshape(4, 6, 5)),
        volume(scene, voxels.astype(np.int32)),
        volume(scene, voxels + np.int16(1)),
        volume(scene, ijk_to_ras=np.eye(4)),
    ]
    names = {Volumes().take(node, URL).image for node in others} | {one.image}
    assert len(names) == 5


def test_a_volume_is_taken_anew_only_when_it_has_changed(scene):
    volumes, node, other = Volumes(), volume(scene), volume(scene)
    first = volumes.take(node, URL)
    assert volumes.take(node, URL) is first
    assert volumes.take(other, URL) is not first
    assert volumes.take(node, URL) is first
    node.SetName("Roe^Jane")
    assert volumes.take(node, URL) is first
    assert volumes.take(node, "https://example.org") is not first
    node.GetImageData().GetPointData().GetScalars().SetComponent(0, 0, 77)
    node.GetImageData().GetPointData().GetScalars().Modified()
    changed = volumes.take(node, URL)
    assert changed.image != first.image
    under(scene, node, turned(10))
    assert volumes.take(node, URL).image != changed.image


def test_a_snapshot_is_independent_of_the_scene(scene, tmp_path):
    node = volume(scene)
    taken = Volumes().take(node, URL)
    node.GetImageData().GetPointData().GetScalars().SetComponent(0, 0, 77)
    taken.write(tmp_path / "volume.nrrd", compress=False)
    assert sitk.ReadImage(str(tmp_path / "volume.nrrd"))[0, 0, 0] == 0


class Shelf(Client):
    """A client whose server is a dictionary."""

    def __init__(self, url: str = URL) -> None:
        super().__init__(url)
        self.files: dict[str, bytes] = {}

    def has_image(self, image):
        return image in self.files

    def put_image(self, image, path, on_sent=None):
        if on_sent is not None:
            on_sent(0, 1)
        self.files[image] = path.read_bytes()


def test_a_volume_is_sent_once_and_let_go(scene):
    client, volumes, node = Shelf(), Volumes(), volume(scene)
    image = upload(client, volumes.take(node, URL))
    (file,) = client.files.values()
    assert upload(client, volumes.take(node, URL)) == image  # without voxels in memory
    client.files.clear()
    with pytest.raises(UnsupportedVolume, match="lost"):
        upload(client, volumes.take(node, URL))
    assert upload(client, volumes.take(node, URL)) == image  # as the error said
    assert client.files[image] == file


def test_a_stopped_upload_can_be_begun_again(scene):
    def stop(sent: int, total: int) -> None:
        raise Cancelled

    client, taken = Shelf(), Volumes().take(volume(scene), URL)
    with pytest.raises(Cancelled):
        upload(client, taken, stop)
    assert upload(client, taken) in client.files


def test_what_travels_far_is_packed(scene):
    zeros = np.zeros((20, 50, 50), np.int16)
    near, far = Shelf(), Shelf("https://example.org")
    for client in (near, far):
        upload(client, Snapshot(zeros, Grid(np.eye(4), (50, 50, 20))))
    sizes = [len(client.files.popitem()[1]) for client in (near, far)]
    assert sizes[0] > zeros.nbytes > 10 * sizes[1]


def test_a_full_disk_is_told(scene, tmp_path):
    with pytest.raises(UnsupportedVolume, match="temporary file"):
        Volumes().take(volume(scene), URL).write(tmp_path / "absent" / "x.nrrd", compress=False)
