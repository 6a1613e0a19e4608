"""A person's clicks in the slice views, by Slicer's own way of placing points."""

from __future__ import annotations

from collections.abc import Callable

import slicer
import vtk

from .display import NEGATIVE_COLOUR, POSITIVE_COLOUR
from .request import Place
from .timeline import remove_with_display

NODE_NAME = "IBISAgent your click"


class TakeOver:
    """Waits for clicks while it is on.

    The point that Slicer places is taken away again: what stands is shown by the timeline, once
    the server has taken the click.

    Args:
        on_click: Told the place and whether it is positive.
        on_end: Told when placing ended otherwise than by `stop`, such as by the Esc key.
        later: Calls a function soon; a point cannot be removed while it is being placed.
    """

    def __init__(
        self,
        on_click: Callable[[Place, bool], None],
        on_end: Callable[[], None],
        later: Callable[[Callable[[], None]], None],
    ) -> None:
        self._on_click, self._on_end, self._later = on_click, on_end, later
        self._node: slicer.vtkMRMLMarkupsFiducialNode | None = None
        self._interaction: slicer.vtkMRMLInteractionNode | None = None
        self._tags: list[tuple[vtk.vtkObject, int]] = []
        self.positive: bool | None = None

    @property
    def on(self) -> bool:
        """Whether the next click in a view is taken."""
        return self.positive is not None

    def start(self, positive: bool) -> None:
        """Take clicks from now on, of one polarity, until `stop`."""
        self.stop()
        logic = slicer.app.applicationLogic()
        self.positive, node = positive, self._fresh_node(positive)
        self._interaction, selection = logic.GetInteractionNode(), logic.GetSelectionNode()
        selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
        selection.SetActivePlaceNodeID(node.GetID())
        self._interaction.SetPlaceModePersistence(1)
        self._interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.Place)
        self._observe(node, slicer.vtkMRMLMarkupsNode.PointPositionDefinedEvent, self._placed)
        event = slicer.vtkMRMLInteractionNode.InteractionModeChangedEvent
        self._observe(self._interaction, event, self._mode_changed)

    def stop(self) -> None:
        """Take no more clicks."""
        for observed, tag in self._tags:
            observed.RemoveObserver(tag)
        self._tags.clear()
        self.positive = None
        if self._interaction is not None:
            self._interaction.SetPlaceModePersistence(0)
            self._interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)
            self._interaction = None
        remove_with_display(self._node)
        self._node = None

    def _fresh_node(self, positive: bool) -> slicer.vtkMRMLMarkupsFiducialNode:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", NODE_NAME)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSelectedColor(*(POSITIVE_COLOUR if positive else NEGATIVE_COLOUR))
        display.SetActiveColor(*(POSITIVE_COLOUR if positive else NEGATIVE_COLOUR))
        display.SetPointLabelsVisibility(False)
        display.SetPropertiesLabelVisibility(False)
        self._node = node
        return node

    def _observe(self, observed: vtk.vtkObject, event: int, function: Callable[..., None]) -> None:
        self._tags.append((observed, observed.AddObserver(event, function)))

    def _placed(self, caller: vtk.vtkObject, event: str) -> None:
        self._later(self._take)

    def _take(self) -> None:
        node, positive = self._node, self.positive
        if node is None or positive is None:
            return
        defined = slicer.vtkMRMLMarkupsNode.PositionDefined
        for number in reversed(range(node.GetNumberOfControlPoints())):
            if node.GetNthControlPointPositionStatus(number) == defined:
                place = [0.0, 0.0, 0.0]
                node.GetNthControlPointPositionWorld(number, place)
                node.RemoveNthControlPoint(number)
                self._on_click((place[0], place[1], place[2]), positive)

    def _mode_changed(self, caller: vtk.vtkObject, event: str) -> None:
        place = slicer.vtkMRMLInteractionNode.Place
        if self.on and self._interaction.GetCurrentInteractionMode() != place:
            self.stop()
            self._on_end()
