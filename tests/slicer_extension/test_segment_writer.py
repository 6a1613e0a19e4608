"""Boxes go into segments voxel for voxel, and leave their neighbours alone."""

from __future__ import annotations

import time

import numpy as np
import pytest
import SimpleITK as sitk
import vtk
from harness.slicer_panel import slicer
from harness.slicer_story import phantom, volume_node

from IBISAgentLib.errors import UnsupportedTransform
from IBISAgentLib.geometry import Box
from IBISAgentLib.segment_writer import clear, new_segment, write_box

GEOMETRIES = {
    "plain": {},
    "oblique": {"turn": (0.3, -0.2, 0.15)},
    "flipped": {"flip": (-1, 1, 1)},
    "anisotropic": {"spacing": (0.7, 0.7, 6.0), "size": (64, 60, 14)},
}


def segmentation_of(volume) -> object:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    return node


def voxels(node, segment: str, volume) -> np.ndarray:
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, volume)


def ones(shape=(1, 9, 11)) -> np.ndarray:
    return np.ones(shape, np.uint8)


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_voxels_come_back_as_they_went(application, geometry) -> None:
    volume = volume_node(slicer, phantom(**geometry))
    node = segmentation_of(volume)
    segment = new_segment(node, "a")
    rng = np.random.default_rng(3)
    mask = (rng.random((3, 20, 17)) < 0.5).astype(np.uint8)
    write_box(node, segment, Box((21, 13, 6), mask), volume)
    expected = np.zeros((14, 60, 64), np.uint8)
    expected[6:9, 13:33, 21:38] = mask
    np.testing.assert_array_equal(voxels(node, segment, volume), expected)


def test_a_box_replaces_what_it_covers_and_nothing_else(application) -> None:
    volume = volume_node(slicer, phantom())
    node = segmentation_of(volume)
    segment = new_segment(node, "a")
    write_box(node, segment, Box((10, 10, 5), ones((3, 10, 10))), volume)
    write_box(node, segment, Box((10, 10, 6), np.zeros((1, 5, 10), np.uint8)), volume)
    found = voxels(node, segment, volume)
    assert found.sum() == 250
    assert not found[6, 10:15, 10:20].any()


def test_segments_of_one_labelmap_keep_their_voxels(application) -> None:
    volume = volume_node(slicer, phantom())
    node = segmentation_of(volume)
    first, second, third = (new_segment(node, name) for name in "abc")
    write_box(node, first, Box((5, 5, 5), ones((2, 10, 10))), volume)
    write_box(node, second, Box((30, 30, 5), ones((2, 10, 10))), volume)  # apart
    write_box(node, third, Box((8, 8, 5), ones((2, 10, 10))), volume)  # overlapping the first
    write_box(node, third, Box((8, 8, 6), np.zeros((1, 10, 10), np.uint8)), volume)
    sums = [int(voxels(node, segment, volume).sum()) for segment in (first, second, third)]
    assert sums == [200, 200, 100]


def test_nothing_into_an_empty_segment_is_no_trouble(application) -> None:
    volume = volume_node(slicer, phantom())
    node = segmentation_of(volume)
    segment = new_segment(node, "a")
    write_box(node, segment, Box((5, 5, 5), np.zeros((1, 4, 4), np.uint8)), volume)
    write_box(node, segment, Box((5, 5, 5), ones((1, 4, 4))), volume)
    clear(node, segment)
    assert not voxels(node, segment, volume).any()


def test_volume_under_a_transform_that_the_segmentation_is_not_under(application) -> None:
    volume = volume_node(slicer, phantom())
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    for row, shift in enumerate((12.0, -7.5, 30.0)):
        matrix.SetElement(row, 3, shift)
    transform.SetMatrixTransformToParent(matrix)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segment = new_segment(node, "a")
    write_box(node, segment, Box((20, 20, 7), ones()), volume)
    image = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(segment, image)
    world = [0.0] * 6
    volume.GetRASBounds(world)
    bounds = image.GetBounds()
    assert image.GetOrigin()[2] == pytest.approx(130.0, abs=1e-6)
    assert np.prod(image.GetDimensions()) == 99
    assert len(bounds) == 6


def test_a_transform_that_bends_space_is_refused(application) -> None:
    volume = volume_node(slicer, phantom())
    bend = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    spline = vtk.vtkThinPlateSplineTransform()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for number, place in enumerate(((0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50), (50, 50, 50))):
        source.InsertNextPoint(*place)
        target.InsertNextPoint(place[0] + number**2, place[1], place[2])
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    spline.SetBasisToR()
    bend.SetAndObserveTransformToParent(spline)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.SetAndObserveTransformNodeID(bend.GetID())
    with pytest.raises(UnsupportedTransform, match="bends space"):
        write_box(node, new_segment(node, "a"), Box((0, 0, 0), ones()), volume)


def test_names_are_unique(application) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    names = [
        node.GetSegmentation().GetSegment(new_segment(node, "the spleen")).GetName()
        for _ in range(3)
    ]
    assert names == ["the spleen", "the spleen 2", "the spleen 3"]


def test_one_slice_of_a_large_volume_is_quick(application) -> None:
    image = sitk.Image(512, 512, 300, sitk.sitkInt16)
    volume = volume_node(slicer, image)
    node = segmentation_of(volume)
    segment = new_segment(node, "a")
    began = time.perf_counter()
    write_box(node, segment, Box((200, 200, 150), ones((1, 120, 120))), volume)
    assert time.perf_counter() - began < 0.25  # 1.5 s by way of the whole volume
