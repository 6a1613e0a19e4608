"""Masks of the run's slices as boxes of the volume's voxels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np

from .geometry import Box, Grid, SlicePicture
from .protocol import Rle, SliceRecord
from .rle import decode

_KEPT = 1024  # boxes; a volume's slices, so that going back and forth in time is quick


class Pictures:
    """The slices of one run.

    Args:
        grid: Of the volume that the run is of.
        plane: Of the run.
    """

    def __init__(self, grid: Grid, plane: str) -> None:
        self.grid = grid
        self.plane = plane
        self._whole = lru_cache(maxsize=2)(self._make_whole)
        self._cropped = lru_cache(maxsize=_KEPT)(self._make_cropped)

    def check(self, record: SliceRecord) -> None:
        """See that a slice of the server's is one of this volume's.

        Raises:
            InvalidMask: It is not; the run is of another volume.
            OutsideVolume: There is no such slice.
        """
        if record.plane != self.plane:
            self.plane = record.plane
            self._whole.cache_clear()
            self._cropped.cache_clear()
        SlicePicture.of(self.grid, record)

    def of(self, index: int) -> SlicePicture:
        """The picture of a slice."""
        return SlicePicture(self.grid, self.plane, index)

    def box(self, index: int, mask: Rle | None) -> Box | None:
        """The smallest box around a mask; None where there is nothing."""
        return None if mask is None else self._cropped(index, mask)

    def changed(self, index: int, mask: Rle | None, before: Rle | None) -> Box | None:
        """The smallest box that writes a mask and takes another one away; None: nothing to do."""
        boxes = [box for box in (self.box(index, mask), self.box(index, before)) if box]
        frame = _around(boxes)
        return None if frame is None else _filled(frame, boxes[:1] if self.box(index, mask) else [])

    def joined(self, masks: Mapping[int, Rle], also: Iterable[Box] = ()) -> Box | None:
        """The masks of several slices in one box; None where there is nothing.

        Args:
            masks: By slice.
            also: Boxes that it shall cover too.
        """
        boxes = [box for index, mask in masks.items() if (box := self.box(index, mask))]
        frame = _around([*boxes, *also])
        return None if frame is None else _filled(frame, boxes)

    def _make_whole(self, index: int, mask: Rle) -> Box:
        return self.of(index).box(decode(mask))

    def _make_cropped(self, index: int, mask: Rle) -> Box | None:
        return self._whole(index, mask).cropped()


Frame = tuple[int, int, int, int, int, int]


def _around(boxes: list[Box]) -> Frame | None:
    """First and last voxel along i, j, k of what holds all boxes."""
    if not boxes:
        return None
    extents = np.array([box.extent for box in boxes])
    low, high = extents[:, 0::2].min(axis=0), extents[:, 1::2].max(axis=0)
    return tuple(int(value) for pair in zip(low, high, strict=True) for value in pair)  # type: ignore[return-value]


def _filled(frame: Frame, boxes: list[Box]) -> Box:
    i0, i1, j0, j1, k0, k1 = frame
    voxels = np.zeros((k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1), np.uint8)
    for box in boxes:
        a, b, c, d, e, f = box.extent
        part = voxels[e - k0 : f - k0 + 1, c - j0 : d - j0 + 1, a - i0 : b - i0 + 1]
        np.maximum(part, box.voxels, out=part)
    return Box((i0, j0, k0), voxels)
