"""A slice view of the scene, rendered to an array without a screen."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from harness.slicer_application import SlicerApplication
from numpy.typing import NDArray
from vtk.util import numpy_support

# The image actor has to be the renderer's first prop: managers that come before it would be
# painted over, and fills would come out black.
MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
)


@lru_cache(maxsize=1)
def why_not() -> str:
    """Why nothing can be rendered here; empty where it can."""
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetSize(8, 8)
    renderer = vtk.vtkRenderer()
    renderer.SetBackground(0, 1, 0)
    window.AddRenderer(renderer)
    if not window.SupportsOpenGL():
        return "no OpenGL is at hand (EGL, OSMesa or a display)"
    return ""


class SliceViewWindow:
    """One slice view of the application's scene.

    Args:
        application: Its scene is shown.
        name: Red, Green or Yellow.
        size: Width and height in pixels.
    """

    def __init__(
        self, application: SlicerApplication, name: str = "Red", size: tuple[int, int] = (400, 400)
    ) -> None:
        if why_not():
            pytest.skip(f"slice views cannot be rendered: {why_not()}")
        self.logic = application.slice_logics[name]
        self.node = self.logic.GetSliceNode()
        self._blend = vtk.vtkImageMapper()
        self._renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self.window)
        self._show_image()
        self._group = self._managers(application)
        self.fit()

    def _show_image(self) -> None:
        self._blend.SetColorWindow(255)
        self._blend.SetColorLevel(127.5)
        self._blend.SetInputConnection(self.logic.GetImageDataConnection())
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._blend)
        actor.GetProperty().SetDisplayLocationToBackground()
        self._renderer.AddViewProp(actor)

    def _managers(self, application: SlicerApplication) -> object:
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application.applicationLogic())
        group = slicer.vtkMRMLDisplayableManagerGroup()
        group.SetRenderer(self._renderer)
        group.SetMRMLDisplayableNode(self.node)
        for name in MANAGERS:
            manager = getattr(slicer, name)()
            manager.SetMRMLApplicationLogic(application.applicationLogic())
            group.AddDisplayableManager(manager)
        return group

    def fit(self) -> None:
        """Show the whole slice; the view stays on its slice."""
        width, height = self.window.GetSize()
        offset = self.node.GetSliceOffset()
        self.node.SetDimensions(width, height, 1)
        self.logic.FitSliceToAll(width, height)
        self.node.SetSliceOffset(offset)
        self.logic.SnapSliceOffsetToIJK()

    def picture(self) -> NDArray[np.uint8]:
        """What is seen, axes (row, column, RGB), row 0 on top."""
        self.logic.UpdatePipeline()
        self._blend.SetInputConnection(self.logic.GetImageDataConnection())
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _ = image.GetDimensions()
        array = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
        return np.flipud(array.reshape(height, width, -1)[..., :3]).copy()

    def pixel(self, ras: tuple[float, float, float]) -> tuple[int, int]:
        """Row and column of a place in the patient's frame (RAS, mm)."""
        inverse = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), inverse)
        x, y, _, _ = inverse.MultiplyPoint((*ras, 1.0))
        return self.window.GetSize()[1] - 1 - round(y), round(x)

    def save(self, path: Path) -> Path:
        """Write the picture as PNG."""
        from PIL import Image

        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.picture()).save(path)
        return path
