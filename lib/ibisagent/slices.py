"""Slices of a volume as pictures, and masks back into the volume.

A slice is a plane of voxels, never resampled through-plane: of an oblique volume, the voxel axis
nearest to the plane's normal is taken. Pictures are turned as in 3D Slicer, looking from the
feet, from the front and from the patient's left:

========  ======================  =====================
plane     right of the picture    down in the picture
========  ======================  =====================
axial     patient Left            Posterior
coronal   patient Left            Inferior
sagittal  Posterior               Inferior
picture   as stored (column)      as stored (row)
========  ======================  =====================

Volumes are arrays (k, j, i); a 2D image counts as a volume of one slice, (1, row, column).
"""

from __future__ import annotations

from enum import Enum
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ibisagent.errors import InvalidClick, InvalidRequest, SliceOutOfRange
from ibisagent.volume import is_picture
from ibisagent.windows import AUTO, choose, to_uint8

MAX_ENLARGED_SIDE = 2048
"""A coarsely spaced side is enlarged to square pixels, but not beyond this many pixels."""

_SAME_SPACING = 1.01  # spacings this close are one: enlarging would only blur


class Plane(str, Enum):
    """A way to slice: three anatomical planes, and the only plane of a 2D image."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"
    PICTURE = "picture"

    @classmethod
    def parse(cls, text: Plane | str) -> Plane:
        """Plane of this name, in any case.

        Raises:
            InvalidRequest: There is no such plane.
        """
        try:
            return cls(text.strip().lower())
        except ValueError as error:
            raise InvalidRequest(
                f"There is no plane {str(text)!r}.",
                f"Use one of {', '.join(plane.value for plane in cls)}.",
            ) from error


class _Side(NamedTuple):
    """A voxel axis as a slice shows it.

    Attributes:
        axis: 0, 1, 2 for i, j, k.
        flipped: Whether the picture shows the last voxel first.
        voxels: Number of voxels along the axis.
        pixels: Number of pixels (or slices) they are shown with, at least `voxels`.
    """

    axis: int
    flipped: bool
    voxels: int
    pixels: int

    def turn(self, position: int) -> int:
        """From place in the picture to voxel number, or back; both in voxels."""
        return self.voxels - 1 - position if self.flipped else position


# World axis (0 to Left, 1 to Posterior, 2 to Superior) and sense across the slices, down the
# picture and to its right. Across the slices, the sense is not used: slices keep their number.
_TURNS = {
    Plane.AXIAL: ((2, 1), (1, 1), (0, 1)),
    Plane.CORONAL: ((1, 1), (2, -1), (0, 1)),
    Plane.SAGITTAL: ((0, 1), (2, -1), (1, 1)),
}


class SliceView:
    """An image as a stack of pictures in one plane.

    Pictures have square pixels of the finer in-plane spacing: the coarser side is enlarged,
    intensities by linear interpolation, masks by nearest neighbour. Enlarging ends at
    `MAX_ENLARGED_SIDE` pixels; of slices that would need more, the pixels are oblong. No side
    ever has fewer pixels than voxels, so that a mask survives the way to the picture and back.

    Slices are numbered as the voxels are, along the voxel axis of the plane, from 0.

    Args:
        image: Scalar volume, scalar picture or RGB picture, as `volume.read_image` returns it.
        plane: The plane. A 2D image has only one: whichever is asked for, it is
            `Plane.PICTURE`, so that the default "axial" serves every image.
        window: As for `windows.parse`; "auto" is found from the whole volume, once.

    Attributes:
        plane: The plane, `Plane.PICTURE` for 2D images.
        window: The grey-scale window all pictures are shown with.
        volume_shape: (k, j, i), the shape that `from_volume` and `into_volume` expect.

    Raises:
        InvalidRequest: Unknown plane or window, or "picture" asked of a volume.
    """

    def __init__(self, image: sitk.Image, plane: Plane | str, window: str = AUTO) -> None:
        self.plane = _available(Plane.parse(plane), image)
        self.window = choose(image, window)
        self._image = image  # the array below is a view into it
        array = sitk.GetArrayViewFromImage(image)
        self._intensities: NDArray[Any] = array[np.newaxis] if is_picture(image) else array
        slices, rows, columns = self._intensities.shape[:3]
        self.volume_shape: tuple[int, int, int] = (slices, rows, columns)
        self._across, self._down, self._right = _sides(image, self.plane)
        self._spacing = float(min(image.GetSpacing()[s.axis] for s in (self._down, self._right)))

    @property
    def count(self) -> int:
        """Number of slices."""
        return self._across.voxels

    @property
    def middle(self) -> int:
        """Index of the middle slice."""
        return self.count // 2

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of every picture."""
        return self._down.pixels, self._right.pixels

    @property
    def spacing(self) -> float:
        """Side of a picture's pixel in mm (the shorter one, should pixels be oblong)."""
        return self._spacing

    def rgb(self, index: int) -> NDArray[np.uint8]:
        """Picture of a slice, axes (row, column, channel), uint8.

        Raises:
            SliceOutOfRange: There is no such slice.
        """
        plane = self._plane_of(self._intensities, index)
        for axis, side in enumerate((self._down, self._right)):
            plane = _enlarged(plane, side.pixels, axis)
        grey = to_uint8(plane, self.window)
        return grey if grey.ndim == 3 else np.repeat(grey[:, :, np.newaxis], 3, axis=2)

    def from_volume(self, volume: NDArray[Any], index: int) -> NDArray[Any]:
        """A slice of a mask or label volume as it lies on the picture (nearest neighbour).

        Args:
            volume: Axes (k, j, i), of the image's shape; (row, column) will do for a 2D image.
            index: Slice.

        Returns:
            A copy, axes (row, column), dtype of `volume`.

        Raises:
            SliceOutOfRange: There is no such slice.
        """
        plane = self._plane_of(self._checked(volume), index)
        sides = (self._down, self._right)
        picture: NDArray[Any] = plane[np.ix_(*(_holders(s.pixels, s.voxels) for s in sides))]
        return picture

    def into_volume(self, mask: NDArray[Any], volume: NDArray[Any], index: int) -> None:
        """Replace a slice of a mask or label volume by a mask drawn on the picture.

        Each voxel takes the pixel that holds its centre, so that what `from_volume` gave goes
        back unchanged.

        Args:
            mask: Axes (row, column), of the picture's shape.
            volume: As for `from_volume`; changed in place.
            index: Slice.

        Raises:
            SliceOutOfRange: There is no such slice.
        """
        if mask.shape != self.shape:
            raise ValueError(f"mask of shape {mask.shape} on a picture of shape {self.shape}")
        plane = self._plane_of(self._checked(volume), index)
        sides = (self._down, self._right)
        plane[...] = mask[np.ix_(*(_holders(s.voxels, s.pixels) for s in sides))]

    def pixel_to_index(self, row: int, column: int, index: int) -> tuple[int, int, int]:
        """Voxel (i, j, k) that is shown at a pixel of a slice.

        Raises:
            InvalidClick: The pixel is outside the picture.
            SliceOutOfRange: There is no such slice.
        """
        self._check_slice(index)
        height, width = self.shape
        if not (0 <= row < height and 0 <= column < width):
            raise InvalidClick(
                f"Pixel ({row}, {column}) is outside the picture.",
                f"Give a row from 0 to {height - 1} and a column from 0 to {width - 1}.",
            )
        voxel = {self._across.axis: int(index)}
        for side, pixel in ((self._down, row), (self._right, column)):
            voxel[side.axis] = side.turn(int(_holders(side.pixels, side.voxels)[pixel]))
        return voxel[0], voxel[1], voxel[2]

    def index_to_pixel(self, i: int, j: int, k: int) -> tuple[int, int, int]:
        """Pixel and slice (row, column, slice) that hold the centre of a voxel.

        Raises:
            InvalidClick: The voxel is outside the volume.
        """
        voxel, size = (i, j, k), self.volume_shape[::-1]
        if not all(0 <= v < n for v, n in zip(voxel, size, strict=True)):
            raise InvalidClick(
                f"Voxel {voxel} is outside the volume.",
                f"The volume has {size[0]} x {size[1]} x {size[2]} voxels (i, j, k).",
            )
        row, column = (
            int(_holders(side.voxels, side.pixels)[side.turn(voxel[side.axis])])
            for side in (self._down, self._right)
        )
        return row, column, int(voxel[self._across.axis])

    def _plane_of(self, volume: NDArray[Any], index: int) -> NDArray[Any]:
        """View of a slice as the picture is turned, axes (row, column, ...), in voxels."""
        self._check_slice(index)
        axes = [2 - side.axis for side in (self._across, self._down, self._right)]
        plane: NDArray[Any] = np.moveaxis(volume, axes, (0, 1, 2))[index]
        flipped = [axis for axis, side in enumerate((self._down, self._right)) if side.flipped]
        return np.flip(plane, flipped)

    def _check_slice(self, index: int) -> None:
        if not 0 <= index < self.count:
            raise SliceOutOfRange(
                f"There is no {self.plane.value} slice {index}.",
                f"Give a slice from 0 to {self.count - 1}.",
            )

    def _checked(self, volume: NDArray[Any]) -> NDArray[Any]:
        volume = volume[np.newaxis] if volume.ndim == 2 else volume
        if volume.shape != self.volume_shape:
            raise ValueError(f"volume of shape {volume.shape}, expected {self.volume_shape}")
        return volume


def _available(plane: Plane, image: sitk.Image) -> Plane:
    if is_picture(image):
        return Plane.PICTURE
    if plane is Plane.PICTURE:
        raise InvalidRequest('A volume has no plane "picture".', "Use axial, coronal or sagittal.")
    return plane


def _sides(image: sitk.Image, plane: Plane) -> tuple[_Side, _Side, _Side]:
    """Voxel axes across the slices, down the picture and to its right."""
    (across, _), (down, down_flipped), (right, right_flipped) = _turns(image, plane)
    size, spacing = (*image.GetSize(), 1), image.GetSpacing()
    finer = min(spacing[down], spacing[right])

    def in_plane(axis: int, flipped: bool) -> _Side:
        return _Side(axis, flipped, size[axis], _pixels(size[axis], spacing[axis] / finer))

    slices = _Side(across, False, size[across], size[across])
    return slices, in_plane(down, down_flipped), in_plane(right, right_flipped)


def _turns(image: sitk.Image, plane: Plane) -> list[tuple[int, bool]]:
    """Voxel axis and flip, across the slices, down the picture and to its right."""
    if plane is Plane.PICTURE:
        return [(2, False), (1, False), (0, False)]
    direction = np.reshape(image.GetDirection(), (3, 3))  # rows: world L, P, S; columns: i, j, k
    nearest = _nearest_axes(direction)
    return [
        (nearest[world], bool(direction[world, nearest[world]] * sense < 0))
        for world, sense in _TURNS[plane]
    ]


def _nearest_axes(direction: NDArray[np.float64]) -> tuple[int, ...]:
    """Voxel axis of each world axis: the permutation closest to the direction matrix.

    The largest sum of cosines belongs to the smallest rotation between the two frames. A
    rotation is never more than 62.8 degrees from some permutation with signs, where the sum is
    1.91, and a mirrored one reaches 1 at most: so pictures are never mirror images, and no
    cosine that decides on a flip is zero.
    """

    def closeness(order: tuple[int, ...]) -> float:
        return float(sum(abs(direction[world, axis]) for world, axis in enumerate(order)))

    return max(permutations(range(3)), key=closeness)


def _pixels(voxels: int, enlargement: float) -> int:
    """Number of pixels for a side whose voxels are `enlargement` times longer than a pixel."""
    if enlargement <= _SAME_SPACING:
        return voxels
    return max(voxels, min(round(voxels * enlargement), MAX_ENLARGED_SIDE))


def _holders(parts: int, others: int) -> NDArray[np.intp]:
    """For a length cut into `parts`: which of `others` equal parts holds each one's centre.

    In integers, so that there and back meet: for ``parts <= others`` the holder's own centre is
    less than half a part away from the centre it holds.
    """
    centres = 2 * np.arange(parts, dtype=np.intp) + 1
    return centres * others // (2 * parts)


def _enlarged(array: NDArray[Any], pixels: int, axis: int) -> NDArray[Any]:
    """An axis sampled at `pixels` centres: linear between voxel centres, constant beyond."""
    voxels = array.shape[axis]
    if pixels == voxels:
        return array
    position = (np.arange(pixels) + 0.5) * voxels / pixels - 0.5
    low = np.clip(np.floor(position), 0, voxels - 1).astype(np.intp)
    high = np.minimum(low + 1, voxels - 1)
    weight = np.clip(position - low, 0, 1).reshape((-1,) + (1,) * (array.ndim - axis - 1))
    mixed: NDArray[Any] = array.take(low, axis) * (1 - weight) + array.take(high, axis) * weight
    return mixed
