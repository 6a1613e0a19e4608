"""Where a slice's picture lies in the volume, and where a click on it lies in the patient.

Four places, in Slicer's and the server's words:

* RAS, in mm: x to the patient's right, y to anterior, z to superior.
* IJK: voxels of the volume; arrays of voxels have axes (k, j, i).
* Pixels (row, column) of a slice's picture as the server shows it: square, turned as in Slicer.
* Fractions (x, y) of the picture's width and height, x to the right, y down: clicks.

The server's ``ibisagent.slices`` says how a slice becomes a picture; the same is derived here
from the volume's geometry alone, and a test holds the two together.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from .errors import InvalidMask, OutsideVolume
from .protocol import SliceRecord

if typing.TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Voxel = tuple[int, int, int]

PLANES = ("axial", "coronal", "sagittal")
PICTURE = "picture"
"""The only plane of a 2D image; voxels as they are stored."""

MAX_ENLARGED_SIDE = 2048
"""As the server's: coarsely spaced sides are enlarged up to so many pixels."""

_SAME_SPACING = 1.01  # as the server's

# World axis (0 to Left, 1 to Posterior, 2 to Superior) and sense across the slices, down the
# picture and to its right: looking from the feet, from the front and from the patient's left.
_TURNS = {
    "axial": ((2, 1), (1, 1), (0, 1)),
    "coronal": ((1, 1), (2, -1), (0, 1)),
    "sagittal": ((0, 1), (2, -1), (1, 1)),
}

_TO_LPS = np.diag([-1.0, -1.0, 1.0])


class Grid:
    """The voxels of a volume in the patient.

    Args:
        ijk_to_ras: 4 by 4; parent transforms included, if the volume was sent with them.
        size: Number of voxels along i, j, k.
    """

    def __init__(self, ijk_to_ras: NDArray[np.float64], size: Voxel) -> None:
        self.ijk_to_ras = np.array(ijk_to_ras, dtype=np.float64)
        self.size: Voxel = (int(size[0]), int(size[1]), int(size[2]))
        self._ras_to_ijk = np.linalg.inv(self.ijk_to_ras)

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Distance of neighbouring voxels in mm, along i, j, k."""
        lengths: NDArray[np.float64] = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
        return lengths

    @property
    def direction(self) -> NDArray[np.float64]:
        """Rows to Left, Posterior, Superior, columns i, j, k: ITK's direction matrix."""
        turned: NDArray[np.float64] = _TO_LPS @ (self.ijk_to_ras[:3, :3] / self.spacing)
        return turned

    @property
    def origin(self) -> NDArray[np.float64]:
        """Centre of the first voxel in LPS, mm: ITK's origin."""
        place: NDArray[np.float64] = _TO_LPS @ self.ijk_to_ras[:3, 3]
        return place

    @property
    def shear(self) -> float:
        """How far from square the axes stand: largest cosine between two of them."""
        cosines = self.direction.T @ self.direction
        return float(np.abs(cosines - np.eye(3)).max())

    def to_ras(self, ijk: ArrayLike) -> NDArray[np.float64]:
        """Place of a voxel's centre (or of a point between voxels), mm."""
        return self._mapped(self.ijk_to_ras, ijk)

    def to_ijk(self, ras: ArrayLike) -> NDArray[np.float64]:
        """A place in the patient in voxels, not rounded; may lie outside."""
        return self._mapped(self._ras_to_ijk, ras)

    def voxel_at(self, ras: ArrayLike) -> Voxel:
        """The voxel (i, j, k) that holds a place in the patient.

        Raises:
            OutsideVolume: None does.
        """
        i, j, k = (int(value) for value in np.floor(self.to_ijk(ras) + 0.5))
        if not all(0 <= v < n for v, n in zip((i, j, k), self.size, strict=True)):
            raise OutsideVolume("That is outside the volume.", "Click on the volume itself.")
        return i, j, k

    def count(self, plane: str) -> int:
        """Number of slices in a plane."""
        return self.size[_sides(self, plane)[0].axis]

    def place(self, plane: str, ras: ArrayLike) -> tuple[int, float, float]:
        """A click in the patient as slice number and fractions (x, y) of its picture.

        They are those of the pixel that holds the centre of the voxel: of a click near the
        voxel's edge, the pixel itself may show the next voxel.

        Raises:
            OutsideVolume: It is outside the volume.
        """
        voxel = self.voxel_at(ras)
        index = voxel[_sides(self, plane)[0].axis]
        picture = SlicePicture(self, plane, index)
        row, column = picture.pixel_of(voxel)
        return index, (column + 0.5) / picture.shape[1], (row + 0.5) / picture.shape[0]

    def _mapped(self, matrix: NDArray[np.float64], point: ArrayLike) -> NDArray[np.float64]:
        mapped: NDArray[np.float64] = matrix[:3, :3] @ np.asarray(point, float) + matrix[:3, 3]
        return mapped


class SlicePicture:
    """A slice of a grid as the server shows it.

    Args:
        grid: Of the volume, as it was sent to the server.
        plane: axial, coronal, sagittal, or picture.
        index: Slice number, along the voxel axis of the plane.

    Attributes:
        shape: Height and width in pixels.

    Raises:
        OutsideVolume: There is no such slice.
    """

    def __init__(self, grid: Grid, plane: str, index: int) -> None:
        self.grid, self.plane, self.index = grid, plane, index
        self._across, self._down, self._right = _sides(grid, plane)
        self.shape = (self._down.pixels, self._right.pixels)
        if not 0 <= index < self._across.voxels:
            raise OutsideVolume(
                f"There is no {plane} slice {index}.",
                f"The volume has {self._across.voxels} of them, counted from 0.",
            )

    @classmethod
    def of(cls, grid: Grid, record: SliceRecord) -> SlicePicture:
        """The slice that the server names, if it is one of this volume's.

        Raises:
            InvalidMask: The picture has another size: the run is of another volume.
            OutsideVolume: There is no such slice.
        """
        picture = cls(grid, record.plane, record.index)
        if picture.shape != (record.height, record.width):
            raise InvalidMask(
                f"The server's picture has {record.height} x {record.width} pixels, this volume's "
                f"{picture.shape[0]} x {picture.shape[1]}.",
                "Select the volume that the run was started with.",
            )
        return picture

    @property
    def axis(self) -> int:
        """Voxel axis across the slices: 0, 1, 2 for i, j, k."""
        return self._across.axis

    @property
    def centre(self) -> NDArray[np.float64]:
        """RAS of the middle of the picture."""
        return self.ras_at(0.5, 0.5)

    def ras_at(self, x: float, y: float) -> NDArray[np.float64]:
        """RAS of a place on the picture, given by fractions of width and height."""
        ijk = np.zeros(3)
        ijk[self._across.axis] = self.index
        for side, fraction in ((self._right, x), (self._down, y)):
            ijk[side.axis] = side.turn(fraction * side.voxels - 0.5)
        return self.grid.to_ras(ijk)

    def fractions_at(self, ras: ArrayLike) -> tuple[float, float]:
        """Fractions (x, y) of a place in the patient, seen along the voxels' axis.

        Raises:
            OutsideVolume: It is beside the picture.
        """
        ijk = self.grid.to_ijk(ras)
        x, y = (
            (side.turn(float(ijk[side.axis])) + 0.5) / side.voxels
            for side in (self._right, self._down)
        )
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise OutsideVolume("That is beside the slice.", "Click on the slice itself.")
        return x, y

    def voxel_at(self, row: int, column: int) -> Voxel:
        """Voxel (i, j, k) that is shown at a pixel."""
        voxel = [0, 0, 0]
        voxel[self._across.axis] = self.index
        for side, pixel in ((self._down, row), (self._right, column)):
            voxel[side.axis] = int(side.turn(int(_holders(side.pixels, side.voxels)[pixel])))
        return voxel[0], voxel[1], voxel[2]

    def pixel_of(self, voxel: Voxel) -> tuple[int, int]:
        """Pixel (row, column) that holds the centre of a voxel, seen along the voxels' axis."""
        row, column = (
            int(_holders(side.voxels, side.pixels)[int(side.turn(voxel[side.axis]))])
            for side in (self._down, self._right)
        )
        return row, column

    def box(self, mask: NDArray[np.bool_]) -> Box:
        """The whole slice of the volume with a mask that was drawn on the picture.

        Args:
            mask: Axes (row, column), of `shape`.

        Raises:
            InvalidMask: It is of another shape.
        """
        if mask.shape != self.shape:
            raise InvalidMask(
                f"A mask of {mask.shape} pixels came for a picture of {self.shape}.",
                "Update the extension and the server to versions that belong together.",
            )
        plane = mask[np.ix_(*(_holders(s.voxels, s.pixels) for s in (self._down, self._right)))]
        flipped = [axis for axis, side in enumerate((self._down, self._right)) if side.flipped]
        order = [2 - side.axis for side in (self._across, self._down, self._right)]
        slab = np.moveaxis(np.flip(plane, flipped)[np.newaxis], (0, 1, 2), order)
        first = [0, 0, 0]
        first[self._across.axis] = self.index
        return Box((first[0], first[1], first[2]), np.ascontiguousarray(slab, dtype=np.uint8))


@dataclass(frozen=True, eq=False)
class Box:
    """A block of voxels with a mask in it.

    Attributes:
        first: Its lowest voxel (i, j, k).
        voxels: Axes (k, j, i), uint8, 0 or 1.
    """

    first: Voxel
    voxels: NDArray[np.uint8]

    @property
    def extent(self) -> tuple[int, int, int, int, int, int]:
        """First and last voxel along i, j and k, as VTK writes it."""
        k, j, i = self.voxels.shape
        i0, j0, k0 = self.first
        return i0, i0 + i - 1, j0, j0 + j - 1, k0, k0 + k - 1

    def cropped(self, also: Box | None = None) -> Box | None:
        """The smallest block around the mask; None where the mask is empty.

        Args:
            also: A block of the same slice: the result also covers its mask. Writing it then
                also takes away what stood there before.
        """
        held = self.voxels.astype(bool)
        if also is not None:
            if (also.first, also.voxels.shape) != (self.first, self.voxels.shape):
                raise ValueError("two blocks of different places")
            held = held | also.voxels.astype(bool)
        if not held.any():
            return None
        found = [np.flatnonzero(held.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        low, high = [int(at[0]) for at in found], [int(at[-1]) + 1 for at in found]
        part = self.voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        i, j, k = self.first
        return Box((i + low[2], j + low[1], k + low[0]), np.ascontiguousarray(part))


class _Side(typing.NamedTuple):
    """A voxel axis as a slice shows it; as the server's."""

    axis: int
    flipped: bool
    voxels: int
    pixels: int

    def turn(self, position: float) -> float:
        return self.voxels - 1 - position if self.flipped else position


def _sides(grid: Grid, plane: str) -> tuple[_Side, _Side, _Side]:
    """Voxel axes across the slices, down the picture and to its right."""
    (across, _), (down, down_flipped), (right, right_flipped) = _turns(grid, plane)
    size, spacing = grid.size, grid.spacing
    finer = min(spacing[down], spacing[right])

    def in_plane(axis: int, flipped: bool) -> _Side:
        return _Side(axis, flipped, size[axis], _pixels(size[axis], spacing[axis] / finer))

    slices = _Side(across, False, size[across], size[across])
    return slices, in_plane(down, down_flipped), in_plane(right, right_flipped)


def _turns(grid: Grid, plane: str) -> list[tuple[int, bool]]:
    """Voxel axis and flip, across the slices, down the picture and to its right."""
    if plane == PICTURE:
        return [(2, False), (1, False), (0, False)]
    direction = grid.direction
    nearest = max(
        permutations(range(3)),
        key=lambda order: float(sum(abs(direction[row, axis]) for row, axis in enumerate(order))),
    )
    return [
        (nearest[world], bool(direction[world, nearest[world]] * sense < 0))
        for world, sense in _TURNS[plane]
    ]


def _pixels(voxels: int, enlargement: float) -> int:
    """Number of pixels for a side whose voxels are `enlargement` times longer than a pixel."""
    if enlargement <= _SAME_SPACING:
        return voxels
    return max(voxels, min(round(voxels * enlargement), MAX_ENLARGED_SIDE))


def _holders(parts: int, others: int) -> NDArray[np.intp]:
    """For a length cut into `parts`: which of `others` equal parts holds each one's centre."""
    centres = 2 * np.arange(parts, dtype=np.intp) + 1
    return centres * others // (2 * parts)
