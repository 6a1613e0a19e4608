"""Accepted masks go into the user's segment: all of the mask, and nothing but its slices."""

from __future__ import annotations

import numpy as np
import pytest
from harness.slicer_panel import slicer
from harness.slicer_story import disc, phantom, rle, volume_node

from IBISAgentLib import acceptance
from IBISAgentLib.geometry import Box, SlicePicture
from IBISAgentLib.pictures import Pictures
from IBISAgentLib.segment_writer import write_box
from IBISAgentLib.upload import world_grid

SHAPE = (14, 60, 64)
TURNED = {"turn": (0.3, -0.2, 0.15), "flip": (1, -1, 1)}


def accepted(volume, masks, plane="axial", node=None, segment=None):
    node = node or acceptance.segmentation_for(volume)
    segment = segment or acceptance.segment_for(node, "the ball")
    pictures = Pictures(world_grid(volume), plane)
    encoded = {index: rle(mask) for index, mask in masks.items()}
    acceptance.put(encoded, pictures, volume, node, segment)
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, volume), node, segment


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("geometry", [{}, TURNED], ids=["plain", "turned"])
def test_a_new_segment_holds_the_masks(application, plane: str, geometry) -> None:
    volume = volume_node(slicer, phantom(**geometry))
    grid = world_grid(volume)
    rng = np.random.default_rng(5)
    shape = SlicePicture(grid, plane, 0).shape
    masks = {index: rng.random(shape) < 0.3 for index in (3, 4, 9)}
    expected = np.zeros(SHAPE, np.uint8)
    for index, mask in masks.items():
        box = SlicePicture(grid, plane, index).box(mask)
        i0, i1, j0, j1, k0, k1 = box.extent
        expected[k0 : k1 + 1, j0 : j1 + 1, i0 : i1 + 1] = box.voxels
    found, _, _ = accepted(volume, masks, plane)
    np.testing.assert_array_equal(found, expected)


def test_only_the_slices_of_the_run_are_replaced(application) -> None:
    volume = volume_node(slicer, phantom())
    node = acceptance.segmentation_for(volume)
    segment = acceptance.segment_for(node, "mine")
    write_box(node, segment, Box((40, 40, 3), np.ones((6, 10, 10), np.uint8)), volume)
    mask = disc((60, 64), 20, 20, 6)
    found, _, _ = accepted(volume, {5: mask, 6: mask}, node=node, segment=segment)
    assert found[[3, 4, 7, 8]].sum() == 400
    assert not found[5:7, 40:50, 40:50].any()
    assert found[5].sum() == mask.sum()


def test_a_slice_found_empty_is_emptied(application) -> None:
    volume = volume_node(slicer, phantom())
    mask = disc((60, 64), 20, 20, 6)
    _, node, segment = accepted(volume, {5: mask, 6: mask})
    found, _, _ = accepted(volume, {6: mask & False}, node=node, segment=segment)
    assert found[5].any()
    assert not found[6].any()


def test_a_segmentation_of_another_volume_takes_the_mask(application) -> None:
    volume = volume_node(slicer, phantom())
    other = volume_node(slicer, phantom(size=(30, 30, 30), spacing=(3.0, 3.0, 3.0)), "other")
    node = acceptance.segmentation_for(other)
    mask = disc((60, 64), 26, 30, 9)
    found, _, _ = accepted(volume, {6: mask, 7: mask, 8: mask}, node=node)
    assert found[7].sum() == mask.sum()


def test_names_come_from_the_prompt(application) -> None:
    volume = volume_node(slicer, phantom())
    node = acceptance.segmentation_for(volume)
    segment = acceptance.segment_for(node, "  the \n left  kidney " + "x" * 100)
    name = node.GetSegmentation().GetSegment(segment).GetName()
    assert name.startswith("the left kidney xxx")
    assert len(name) == acceptance.LONGEST_NAME
    assert node.GetName() == "volume segmentation"
