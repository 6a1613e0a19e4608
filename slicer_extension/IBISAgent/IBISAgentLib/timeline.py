"""The run as two sequences with Slicer's own browser, so that it can be replayed and saved.

One sequence holds the clicks, the other the mask of the slice (now and before), an item for each
moment. What the views show are the browser's proxy nodes. They are never written to: the next
item of the sequence would undo it. Instead, each moment is drawn into two nodes that belong to
no scene, and therefore show nowhere, and these are copied into the sequences.
"""

from __future__ import annotations

import slicer

BROWSER_NAME = "IBISAgent replay"
CLICKS_NAME, MASKS_NAME = "IBISAgent clicks", "IBISAgent mask"

_CLICKS_ROLE, _MASKS_ROLE = "IBISAgent.clicks", "IBISAgent.masks"


class Timeline:
    """The two sequences of one run, and the browser over them.

    Args:
        browser: As it was saved with a scene; None makes a new one in the scene.

    Attributes:
        browser: The browser node.
    """

    def __init__(self, browser: slicer.vtkMRMLSequenceBrowserNode | None = None) -> None:
        self.browser = browser if browser is not None else _new_browser()
        self._clicks = self.browser.GetNodeReference(_CLICKS_ROLE)
        self._masks = self.browser.GetNodeReference(_MASKS_ROLE)

    @property
    def length(self) -> int:
        """Number of moments that are kept."""
        return self._clicks.GetNumberOfDataNodes()

    @property
    def selected(self) -> int:
        """The moment that is shown; -1: none."""
        return self.browser.GetSelectedItemNumber()

    @property
    def clicks(self) -> slicer.vtkMRMLMarkupsFiducialNode | None:
        """What the views show of the clicks; to be looked at only."""
        return self.browser.GetProxyNode(self._clicks)

    @property
    def masks(self) -> slicer.vtkMRMLSegmentationNode | None:
        """What the views show of the mask; to be looked at only."""
        return self.browser.GetProxyNode(self._masks)

    def add(
        self,
        clicks: slicer.vtkMRMLMarkupsFiducialNode,
        masks: slicer.vtkMRMLSegmentationNode,
        show: bool = True,
    ) -> None:
        """Copy a moment to the end.

        Args:
            clicks: Belongs to no scene.
            masks: Belongs to no scene.
            show: Go to it; else the moment that is shown stays.
        """
        step = str(self.length + 1)
        self._clicks.SetDataNodeAtValue(clicks, step)
        self._masks.SetDataNodeAtValue(masks, step)
        if show or self.length == 1:
            self.select(self.length - 1)

    def select(self, moment: int) -> None:
        """Show a moment, counted from 0."""
        self.browser.SetSelectedItemNumber(moment)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(self.browser)

    def remove(self) -> None:
        """Take the timeline out of the scene, with all that it shows."""
        # The browser first: it would make a proxy again that is missing.
        nodes = [self.clicks, self.masks, self._clicks, self._masks]
        slicer.mrmlScene.RemoveNode(self.browser)
        for node in nodes:
            remove_with_display(node)


def remove_with_display(node: slicer.vtkMRMLNode | None) -> None:
    """Take a node out of its scene, and what only serves to show and to store it."""
    if node is None or node.GetScene() is None:
        return
    scene, served = node.GetScene(), []
    if node.IsA("vtkMRMLDisplayableNode"):
        served += [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLStorableNode"):
        served += [node.GetNthStorageNode(n) for n in range(node.GetNumberOfStorageNodes())]
    for other in (*served, node):
        if other is not None:
            scene.RemoveNode(other)


def is_timeline(browser: slicer.vtkMRMLSequenceBrowserNode | None) -> bool:
    """Whether a browser, of a loaded scene for example, has the two sequences of a run."""
    return browser is not None and all(
        browser.GetNodeReference(role) is not None for role in (_CLICKS_ROLE, _MASKS_ROLE)
    )


def _new_browser() -> slicer.vtkMRMLSequenceBrowserNode:
    scene = slicer.mrmlScene
    name = scene.GenerateUniqueName(BROWSER_NAME)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", name)
    browser.SetPlaybackRateFps(1.0)
    browser.SetPlaybackLooped(False)
    browser.SetPlaybackItemSkippingEnabled(False)
    for role, title in ((_CLICKS_ROLE, CLICKS_NAME), (_MASKS_ROLE, MASKS_NAME)):
        sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", scene.GenerateUniqueName(title))
        sequence.SetIndexName("step")
        sequence.SetIndexUnit("")
        browser.AddSynchronizedSequenceNode(sequence)
        browser.SetNodeReferenceID(role, sequence.GetID())
    return browser
