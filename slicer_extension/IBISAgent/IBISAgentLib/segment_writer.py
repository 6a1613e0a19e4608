"""Masks into segments, a box of voxels at a time.

Writing a whole 512 x 512 x 300 volume for each step would take seconds; a box around one slice's
mask takes milliseconds.
"""

from __future__ import annotations

import itertools

import slicer
import vtk
from vtk.util import numpy_support

from .errors import UnsupportedTransform
from .geometry import Box


def write_box(
    segmentation: slicer.vtkMRMLSegmentationNode,
    segment: str,
    box: Box,
    volume: slicer.vtkMRMLScalarVolumeNode,
    local: bool = False,
) -> None:
    """Replace a segment's voxels within a box; what lies outside stays as it is.

    Other segments keep their voxels, also where they overlap this one.

    Args:
        segmentation: Its parent transform may be another than the volume's.
        segment: Identifier of the segment.
        box: Voxels of the volume.
        volume: Whose voxels are counted.
        local: The segmentation is, or will be, under the volume's own parent transform.

    Raises:
        UnsupportedTransform: A transform between the two bends space.
    """
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    matrix = _volume_matrix(volume) if local else volume_to_segmentation(volume, segmentation)
    image = _oriented(box, matrix)
    # The two modes act on voxels of this segment only, whichever others share its labelmap.
    # MODE_MERGE_MAX would not: it compares label values, and gives voxels to a neighbour.
    if not box.voxels.all():
        logic.SetBinaryLabelmapToSegment(image, segmentation, segment, logic.MODE_MERGE_MIN)
    if box.voxels.any():
        logic.SetBinaryLabelmapToSegment(image, segmentation, segment, logic.MODE_MERGE_MASK)


def clear(segmentation: slicer.vtkMRMLSegmentationNode, segment: str) -> None:
    """Take all voxels out of a segment."""
    slicer.vtkSlicerSegmentationsModuleLogic.ClearSegment(segmentation, segment)


def new_segment(
    segmentation: slicer.vtkMRMLSegmentationNode,
    name: str,
    colour: tuple[float, float, float] | None = None,
) -> str:
    """Add an empty segment; its identifier. A name that is taken gets a number."""
    parts = segmentation.GetSegmentation()
    taken = {parts.GetNthSegment(n).GetName() for n in range(parts.GetNumberOfSegments())}
    names = itertools.chain([name], (f"{name} {number}" for number in itertools.count(2)))
    return parts.AddEmptySegment("", next(name for name in names if name not in taken), colour)


def volume_to_segmentation(
    volume: slicer.vtkMRMLScalarVolumeNode, segmentation: slicer.vtkMRMLSegmentationNode
) -> vtk.vtkMatrix4x4:
    """Matrix from voxels (i, j, k) to the frame that the segmentation is stored in, mm.

    Raises:
        UnsupportedTransform: A transform between the two bends space.
    """
    between, joined = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    source, target = volume.GetParentTransformNode(), segmentation.GetParentTransformNode()
    if source is not target and not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(
        source, target, between
    ):
        raise UnsupportedTransform(
            f"{segmentation.GetName()!r} lies under a transform that bends space.",
            "Choose another segmentation, or harden its transform first.",
        )
    vtk.vtkMatrix4x4.Multiply4x4(between, _volume_matrix(volume), joined)
    return joined


def _volume_matrix(volume: slicer.vtkMRMLScalarVolumeNode) -> vtk.vtkMatrix4x4:
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix


def _oriented(box: Box, matrix: vtk.vtkMatrix4x4) -> slicer.vtkOrientedImageData:
    image = slicer.vtkOrientedImageData()
    image.SetExtent(*box.extent)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    voxels = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    voxels[:] = box.voxels.ravel()
    image.SetImageToWorldMatrix(matrix)
    return image
