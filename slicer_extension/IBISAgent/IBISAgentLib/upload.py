"""The selected volume on its way to the server: what is sent, under which name, and only once.

`Volumes.take` belongs on the GUI thread, since it reads MRML nodes; `upload` on the worker's.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
import typing
from pathlib import Path

import numpy as np

from .address import is_local
from .client import Client
from .errors import UnsupportedTransform, UnsupportedVolume
from .geometry import Grid
from .transfer import OnSent

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SHEAR = 1e-3
"""Largest cosine between two axes that is still taken for a right angle."""


class Snapshot:
    """A volume as it was when it was taken; independent of the scene.

    Args:
        voxels: Axes (k, j, i), a copy.
        grid: Where the voxels lie in the world, parent transforms included.

    Attributes:
        grid: As given.
        lost: Whether the voxels were asked for after they had been let go.
    """

    def __init__(self, voxels: NDArray[typing.Any], grid: Grid) -> None:
        self.grid = grid
        self.lost = False
        self._voxels: NDArray[typing.Any] | None = voxels
        self._image = ""
        self._lock = threading.Lock()

    @property
    def image(self) -> str:
        """Identifier on the server: a hash of voxels and geometry, with no name of a patient.

        The first call computes it.
        """
        with self._lock:
            if not self._image:
                self._image = f"slicer-{self._hash()}"
            return self._image

    def write(self, path: Path, compress: bool) -> None:
        """Write as an image file, NRRD as a rule, with the geometry of the world.

        Raises:
            UnsupportedVolume: The file cannot be written.
        """
        import SimpleITK as sitk

        image = sitk.GetImageFromArray(self._held())
        image.SetSpacing(self.grid.spacing.tolist())
        image.SetDirection(self.grid.direction.ravel().tolist())
        image.SetOrigin(self.grid.origin.tolist())
        try:
            sitk.WriteImage(image, str(path), useCompression=compress)
        except RuntimeError as error:
            raise UnsupportedVolume(
                "The volume could not be written to a temporary file.",
                "See whether the disk is full.",
            ) from error

    def release(self) -> None:
        """Let go of the voxels; the identifier stays."""
        _ = self.image
        self._voxels = None

    def _held(self) -> NDArray[typing.Any]:
        if self._voxels is None:
            self.lost = True
            raise UnsupportedVolume(
                "The server has lost the volume meanwhile.", "Press Run again to send it anew."
            )
        return self._voxels

    def _hash(self) -> str:
        voxels = np.ascontiguousarray(self._held())
        head = (voxels.shape, voxels.dtype.str, self.grid.ijk_to_ras.tolist())
        digest = hashlib.sha256(repr(head).encode())
        digest.update(voxels.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()[:32]


class Volumes:
    """Snapshots of volume nodes, taken anew only when a node has changed.

    Of a volume that was sent, the voxels are not held twice in memory.
    """

    def __init__(self) -> None:
        self._taken: dict[str, tuple[object, Snapshot]] = {}

    def take(self, node: typing.Any, url: str) -> Snapshot:
        """A snapshot of a node for a server; the last one, if neither has changed.

        Args:
            node: A scalar volume node with voxels.
            url: The server's address.

        Raises:
            UnsupportedVolume: Colours, several frames, a labelmap, or nothing in it.
            UnsupportedTransform: Its transform bends or shears it.
        """
        check_volume(node)
        grid = world_grid(node)
        state = (node.GetImageData().GetMTime(), grid.ijk_to_ras.tobytes(), url)
        known = self._taken.get(node.GetID())
        if known is not None and known[0] == state and not known[1].lost:
            return known[1]
        snapshot = Snapshot(_voxels(node), grid)
        self._taken[node.GetID()] = (state, snapshot)
        return snapshot


def upload(client: Client, snapshot: Snapshot, on_sent: OnSent | None = None) -> str:
    """Make sure that the server has a volume.

    Args:
        client: Of the server.
        snapshot: The volume; lets go of its voxels once the server has it.
        on_sent: Told how much was sent; may raise `Cancelled`.

    Returns:
        The image's identifier on the server.

    Raises:
        ClientError: As `Client.put_image` does, and `Snapshot.write`.
    """
    image = snapshot.image
    if not client.has_image(image):
        with tempfile.TemporaryDirectory(prefix="ibisagent-") as folder:
            path = Path(folder) / "volume.nrrd"
            snapshot.write(path, compress=not is_local(client.url))
            client.put_image(image, path, on_sent)
    snapshot.release()
    return image


def check_volume(node: typing.Any) -> None:
    """Refuse what is no volume of grey values.

    Raises:
        UnsupportedVolume: With what it is and what to do.
    """
    if node is None or not node.IsA("vtkMRMLScalarVolumeNode"):
        raise UnsupportedVolume("No volume is selected.", "Select a volume of grey values.")
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise UnsupportedVolume("A labelmap is no image.", "Select the volume that it labels.")
    image = node.GetImageData()
    if image is None or not image.GetPointData().GetScalars() or min(image.GetDimensions()) < 1:
        raise UnsupportedVolume("The volume is empty.", "Load it again, or select another one.")
    if image.GetNumberOfScalarComponents() != 1:
        raise UnsupportedVolume(
            "The volume has colours or several frames.",
            "Select a volume of one grey value a voxel; the Volumes module's 'Vector to Scalar "
            "Volume' makes one of colours.",
        )


def world_grid(node: typing.Any) -> Grid:
    """Where the voxels of a volume node lie in the world, parent transforms included.

    Raises:
        UnsupportedTransform: The transform bends or shears it, or flattens it.
    """
    import vtk

    to_ras, to_world = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(to_ras)
    parent = node.GetParentTransformNode()
    if parent is not None:
        if not parent.IsTransformToWorldLinear():
            raise UnsupportedTransform(
                "The volume is under a transform that bends it.",
                "Harden the transform in the Data module: the volume is then resampled.",
            )
        parent.GetMatrixTransformToWorld(to_world)
    matrix = _array(to_world) @ _array(to_ras)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise UnsupportedTransform(
            "The volume's axes do not span a space.", "Correct its spacing or its transform."
        )
    grid = Grid(matrix, node.GetImageData().GetDimensions())
    if grid.shear > MAX_SHEAR:
        raise UnsupportedTransform(
            "The volume's axes are not at right angles (gantry tilt, or a transform with shear).",
            "Resample it first: Crop Volume with interpolation, or Resample Scalar/Vector/DWI "
            "Volume, and select the result.",
        )
    return grid


def _array(matrix: typing.Any) -> NDArray[np.float64]:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def _voxels(node: typing.Any) -> NDArray[typing.Any]:
    """A copy of a node's voxels, axes (k, j, i)."""
    from vtk.util.numpy_support import vtk_to_numpy

    image = node.GetImageData()
    flat: NDArray[typing.Any] = vtk_to_numpy(image.GetPointData().GetScalars())
    return flat.reshape(image.GetDimensions()[::-1]).copy()
