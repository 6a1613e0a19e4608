"""The slice views: which one shows a plane, what it shows, and how it gets to a slice."""

from __future__ import annotations

import slicer

VIEW_OF_PLANE = {"axial": "Red", "coronal": "Green", "sagittal": "Yellow", "picture": "Red"}
"""Layout name of the view that shows a plane in Slicer's usual layouts."""

_ORIENTATIONS = {"axial": "Axial", "coronal": "Coronal", "sagittal": "Sagittal"}


def shown_volume() -> slicer.vtkMRMLScalarVolumeNode | None:
    """The volume behind the red slice view, or behind any other; None: no view shows one."""
    nodes = slice_nodes()
    for node in sorted(nodes, key=lambda node: node.GetLayoutName() != "Red"):
        logic = slicer.app.applicationLogic().GetSliceLogic(node)
        layer = logic.GetBackgroundLayer() if logic else None
        volume = layer.GetVolumeNode() if layer else None
        if volume is not None and volume.IsA("vtkMRMLScalarVolumeNode"):
            return volume
    return None


def slice_nodes() -> list[slicer.vtkMRMLSliceNode]:
    """The slice views of the scene."""
    scene = slicer.mrmlScene
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")
    return [scene.GetNthNodeByClass(number, "vtkMRMLSliceNode") for number in range(count)]


def view_of(plane: str) -> slicer.vtkMRMLSliceNode | None:
    """The view that shows a plane: by its orientation, else by its name."""
    wanted = _ORIENTATIONS.get(plane)
    name = VIEW_OF_PLANE.get(plane, "Red")
    nodes = sorted(slice_nodes(), key=lambda node: node.GetLayoutName() != name)
    for node in nodes:
        if node.GetOrientation() == wanted:
            return node
    return next((node for node in nodes if node.GetLayoutName() == name), None)


def centre(node: slicer.vtkMRMLSliceNode) -> tuple[float, float, float]:
    """Where the middle of a view lies in the patient, RAS in mm."""
    matrix = node.GetSliceToRAS()
    return tuple(matrix.GetElement(row, 3) for row in range(3))


def go_to(node: slicer.vtkMRMLSliceNode, ras: tuple[float, float, float]) -> None:
    """Move a view across its slices until it holds a place; it is not shifted in its plane."""
    node.JumpSliceByOffsetting(*ras)


def align(node: slicer.vtkMRMLSliceNode, volume: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Turn a view into the volume's own planes, in which the agent works."""
    node.RotateToVolumePlane(volume)
