"""An accepted mask goes into the user's own segment.

On the slices that the run worked on, the run's mask takes the place of what the segment held
there; all its other slices stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import slicer
import vtk

from .display import MASK_COLOUR
from .geometry import Box
from .pictures import Pictures
from .protocol import Rle
from .segment_writer import new_segment, volume_to_segmentation, write_box

LONGEST_NAME = 60


def segmentation_for(
    volume: slicer.vtkMRMLScalarVolumeNode,
) -> slicer.vtkMRMLSegmentationNode:
    """A new segmentation of a volume."""
    name = slicer.mrmlScene.GenerateUniqueName(f"{volume.GetName()} segmentation")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    return node


def segment_for(segmentation: slicer.vtkMRMLSegmentationNode, prompt: str) -> str:
    """A new segment named after the prompt; its identifier."""
    name = " ".join(prompt.split())[:LONGEST_NAME] or "IBISAgent"
    first = segmentation.GetSegmentation().GetNumberOfSegments() == 0
    return new_segment(segmentation, name, MASK_COLOUR if first else None)


def put(
    masks: dict[int, Rle],
    pictures: Pictures,
    volume: slicer.vtkMRMLScalarVolumeNode,
    segmentation: slicer.vtkMRMLSegmentationNode,
    segment: str,
) -> None:
    """Write the masks of slices into a segment.

    Raises:
        UnsupportedTransform: A transform between volume and segmentation bends space.
    """
    held = _extent(volume, segmentation, segment)
    modified = segmentation.StartModify()
    try:
        for part in _neighbours(masks):
            also = [] if held is None else [_cut(held, pictures.of(min(part)).axis, part)]
            box = pictures.joined(part, filter(None, also))
            if box is not None:
                write_box(segmentation, segment, box, volume)
    finally:
        segmentation.EndModify(modified)


def _neighbours(masks: dict[int, Rle]) -> Iterator[dict[int, Rle]]:
    """The slices in groups without a gap."""
    part: dict[int, Rle] = {}
    for index in sorted(masks):
        if part and index - 1 not in part:
            yield part
            part = {}
        part[index] = masks[index]
    if part:
        yield part


def _cut(held: Box, axis: int, part: dict[int, Rle]) -> Box | None:
    """What of a box lies on the slices of a group; an empty box of that place."""
    extent = list(held.extent)
    extent[2 * axis] = max(extent[2 * axis], min(part))
    extent[2 * axis + 1] = min(extent[2 * axis + 1], max(part))
    return _box(extent)


def _extent(
    volume: slicer.vtkMRMLScalarVolumeNode,
    segmentation: slicer.vtkMRMLSegmentationNode,
    segment: str,
) -> Box | None:
    """Around what a segment holds, in voxels of the volume; None where it is empty."""
    image = slicer.vtkOrientedImageData()
    if not segmentation.GetBinaryLabelmapRepresentation(segment, image):
        return None
    extent = image.GetExtent()
    if image.IsEmpty() or any(extent[axis] > extent[axis + 1] for axis in (0, 2, 4)):
        return None
    to_frame, to_ijk = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(to_frame)
    vtk.vtkMatrix4x4.Invert(volume_to_segmentation(volume, segmentation), to_ijk)
    corners = product(*(((extent[a] - 0.5), (extent[a + 1] + 0.5)) for a in (0, 2, 4)))
    places = [to_ijk.MultiplyPoint(to_frame.MultiplyPoint((*corner, 1.0))) for corner in corners]
    ijk = np.array(places)[:, :3]
    low, high = np.ceil(ijk.min(axis=0) - 1e-3), np.floor(ijk.max(axis=0) + 1e-3)
    low = np.maximum(low, 0)
    high = np.minimum(high, np.array(volume.GetImageData().GetDimensions()) - 1)
    return _box([int(value) for pair in zip(low, high, strict=True) for value in pair])


def _box(extent: list[int]) -> Box | None:
    i0, i1, j0, j1, k0, k1 = extent
    shape = (k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
    return Box((i0, j0, k0), np.zeros(shape, np.uint8)) if min(shape) > 0 else None
