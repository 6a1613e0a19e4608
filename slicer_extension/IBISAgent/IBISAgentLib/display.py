"""What the slice views show of a run.

The slice of the moment that is looked at shows its clicks, its mask filled and the mask before
as an outline; these come from the timeline. All other slices show the mask as it stood at that
moment, from a segmentation of its own, so that a volume grows while one watches.
"""

from __future__ import annotations

import slicer
import vtk

from .geometry import Box
from .pictures import Pictures
from .protocol import Rle
from .segment_writer import clear, write_box
from .story import Moment, Story
from .timeline import Timeline, remove_with_display

CURRENT, PREVIOUS, ELSEWHERE = "current", "previous", "elsewhere"
RESULT_NAME = "IBISAgent other slices"

MASK_COLOUR = (34 / 255, 139 / 255, 34 / 255)
"""Forest green, as in the pictures that the agent itself looks at."""
PREVIOUS_COLOUR = (1.0, 0.8, 0.2)
POSITIVE_COLOUR = (0.25, 1.0, 0.35)
NEGATIVE_COLOUR = (1.0, 0.25, 0.2)
FILL_OPACITY, FADED = 0.4, 0.35
MANY = 12
"""Slices; more of them are written at once, fewer one by one."""
GLYPH_PERCENT, TEXT_PERCENT = 3.0, 3.6


class Display:
    """Draws the story of one run.

    Args:
        volume: Its volume node.
        pictures: Of its slices.
        timeline: Where its moments go.
    """

    def __init__(
        self, volume: slicer.vtkMRMLScalarVolumeNode, pictures: Pictures, timeline: Timeline
    ) -> None:
        self.volume, self.pictures, self.timeline = volume, pictures, timeline
        self._elsewhere: slicer.vtkMRMLSegmentationNode | None = None
        self._drawn: dict[int, Rle] = {}  # what stands in that segmentation
        # They belong to no scene, hence show nowhere.
        self._clicks = slicer.vtkMRMLMarkupsFiducialNode()
        self._masks = slicer.vtkMRMLSegmentationNode()
        for name, colour in ((CURRENT, MASK_COLOUR), (PREVIOUS, PREVIOUS_COLOUR)):
            self._masks.GetSegmentation().AddEmptySegment(name, name, colour)

    def add(self, moment: Moment, story: Story, show: bool = True) -> None:
        """Keep a new moment in the timeline.

        Args:
            moment: The last of the story.
            story: It belongs to.
            show: Go to it.
        """
        self._draw_clicks(moment)
        self._draw_mask(CURRENT, moment.index, moment.mask)
        changed = moment.before != moment.mask
        self._draw_mask(PREVIOUS, moment.index, moment.before if changed else None)
        self.timeline.add(self._clicks, self._masks, show)
        self._style()
        if show:
            self.show_elsewhere(story, moment.number)

    def show(self, number: int, story: Story) -> None:
        """Go to a moment that is kept."""
        self.timeline.select(number)
        self._style()
        self.show_elsewhere(story, number)

    def show_elsewhere(self, story: Story, number: int | None = None) -> None:
        """Show the other slices as they stood at a moment; None: as they stand now."""
        number = len(story.moments) - 1 if number is None else number
        masks = story.masks_at(None if number == len(story.moments) - 1 else number)
        if 0 <= number < len(story.moments):
            masks.pop(story.moments[number].index, None)
        self._draw_elsewhere(masks)

    def remove(self) -> None:
        """Take everything out of the scene."""
        self.timeline.remove()
        self._drawn.clear()
        remove_with_display(self._elsewhere)

    def set_visible(self, visible: bool) -> None:
        """Show the run, or only what the user made of it; it stays in the scene."""
        for node in (self.timeline.clicks, self.timeline.masks, self._elsewhere):
            if node is not None and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(visible)

    def _draw_clicks(self, moment: Moment) -> None:
        self._clicks.RemoveAllControlPoints()
        to_ras = vtk.vtkMatrix4x4()
        self.volume.GetIJKToRASMatrix(to_ras)
        for click in moment.clicks:
            place = to_ras.MultiplyPoint((*map(float, click.ijk), 1.0))[:3]
            number = self._clicks.AddControlPoint(vtk.vtkVector3d(*place), str(click.number))
            self._clicks.SetNthControlPointDescription(number, click.thought)
            self._clicks.SetNthControlPointSelected(number, click.positive)
            self._clicks.SetNthControlPointLocked(number, True)
        self._clicks.SetLocked(True)

    def _draw_mask(self, segment: str, index: int, mask: Rle | None) -> None:
        clear(self._masks, segment)
        box = self.pictures.box(index, mask)
        if box is not None:
            write_box(self._masks, segment, box, self.volume, local=True)

    def _draw_elsewhere(self, masks: dict[int, Rle]) -> None:
        slices = set(masks) | set(self._drawn)
        changed = [index for index in slices if masks.get(index) != self._drawn.get(index)]
        if len(changed) > MANY:
            box = self.pictures.joined(masks, also=filter(None, map(self._drawn_box, changed)))
            boxes = [box]
        else:
            boxes = [
                self.pictures.changed(index, masks.get(index), self._drawn.get(index))
                for index in changed
            ]
        for box in filter(None, boxes):
            self._write_elsewhere(box)
        self._drawn = masks

    def _drawn_box(self, index: int) -> Box | None:
        return self.pictures.box(index, self._drawn.get(index))

    def _write_elsewhere(self, box: Box) -> None:
        node = self._elsewhere
        if node is None or node.GetScene() is None:
            node = self._elsewhere = self._new_elsewhere()
        write_box(node, ELSEWHERE, box, self.volume)

    def _new_elsewhere(self) -> slicer.vtkMRMLSegmentationNode:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", RESULT_NAME)
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(self.volume)
        node.SetAndObserveTransformNodeID(self.volume.GetTransformNodeID())
        node.SetSaveWithScene(False)
        node.GetSegmentation().AddEmptySegment(ELSEWHERE, ELSEWHERE, MASK_COLOUR)
        _style_fill(node.GetDisplayNode(), ELSEWHERE)
        return node

    def _style(self) -> None:
        """Give the browser's proxies their looks; it makes them with the first moment."""
        for node, style in (
            (self.timeline.clicks, _style_clicks),
            (self.timeline.masks, _style_masks),
        ):
            if node is None:
                continue
            if node.GetTransformNodeID() != self.volume.GetTransformNodeID():
                node.SetAndObserveTransformNodeID(self.volume.GetTransformNodeID())
            if node.GetDisplayNode() is None:
                node.CreateDefaultDisplayNodes()
            style(node.GetDisplayNode())


def _style_clicks(display: slicer.vtkMRMLMarkupsDisplayNode) -> None:
    modified = display.StartModify()
    display.SetSelectedColor(*POSITIVE_COLOUR)
    display.SetColor(*NEGATIVE_COLOUR)
    display.SetGlyphTypeFromString("Circle2D")
    display.SetGlyphScale(GLYPH_PERCENT)
    display.SetTextScale(TEXT_PERCENT)
    display.SetOpacity(1.0)
    display.SetPointLabelsVisibility(True)
    display.SetPropertiesLabelVisibility(False)
    display.SetSliceProjection(True)
    display.SetSliceProjectionUseFiducialColor(True)
    display.SetSliceProjectionOpacity(FADED)
    display.EndModify(modified)


def _style_masks(display: slicer.vtkMRMLSegmentationDisplayNode) -> None:
    modified = display.StartModify()
    _style_fill(display, CURRENT)
    display.SetSegmentVisibility2DFill(PREVIOUS, False)
    display.SetSegmentVisibility3D(PREVIOUS, False)
    display.EndModify(modified)


def _style_fill(display: slicer.vtkMRMLSegmentationDisplayNode, segment: str) -> None:
    display.SetSegmentVisibility3D(segment, False)
    display.SetSegmentVisibility2DOutline(segment, False)
    display.SetOpacity2DFill(FILL_OPACITY)
