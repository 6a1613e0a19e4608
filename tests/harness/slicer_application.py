"""3D Slicer without its window: a scene, the module logics, and what `slicer.util` asks for.

slicer-core holds the real MRML nodes and logics; what it lacks is the application around them.
`SlicerApplication` builds that part: it loads the logics of the modules that a full Slicer loads
at its start, in the same order, and hangs scene, application and modules on the package `slicer`.
"""

# ruff: noqa: N802, N815 - the spelling is that of Slicer and Qt
from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import vtk

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

# Colours come first: the others make display nodes, which look colours up.
LOGICS = {
    "colors": "vtkSlicerColorLogic",
    "subjecthierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "volumes": "vtkSlicerVolumesLogic",
    "transforms": "vtkSlicerTransformLogic",
    "segmentations": "vtkSlicerSegmentationsModuleLogic",
    "markups": "vtkSlicerMarkupsLogic",
    "sequences": "vtkSlicerSequencesLogic",
}
LOGIC_NAMES = {
    "colors": "Colors",
    "subjecthierarchy": "SubjectHierarchy",
    "volumes": "Volumes",
    "transforms": "Transforms",
    "segmentations": "Segmentations",
    "markups": "Markups",
    "sequences": "Sequences",
}
VIEWS = {"Red": ("R", "Axial"), "Green": ("G", "Coronal"), "Yellow": ("Y", "Sagittal")}


class SlicerApplication:
    """What `slicer.app` is, as far as the extension and `slicer.util` use it.

    Attributes:
        scene: The scene; also `slicer.mrmlScene`.
        logics: Logic of each module, by the lower-case name of the module.
        slice_logics: Logic of each slice view, by layout name (Red, Green, Yellow).
    """

    applicationName = "Slicer"
    revision = "31053"
    documentationBaseUrl = "https://slicer.readthedocs.io/en/latest/"

    def __init__(self, folder: Path) -> None:
        self.temporaryPath = str(folder)
        self.scene = slicer.vtkMRMLScene()
        self.scene.SetURL(os.fspath(folder / "scene.mrml"))
        self._cache(folder)
        self._application_logic = slicer.vtkSlicerApplicationLogic()
        self._application_logic.SetMRMLScene(self.scene)
        self._application_logic.SetTemporaryPath(str(folder))
        slicer.app, slicer.mrmlScene = self, self.scene
        self.logics = {name: self._load(name) for name in LOGICS}
        slicer.modules = SimpleNamespace(
            **{name: self._module(name) for name in LOGICS},
            ibisagent=SimpleNamespace(path=""),
        )
        self._views()

    def _cache(self, folder: Path) -> None:
        """Where bundles of scenes are unpacked."""
        cache = slicer.vtkCacheManager()
        cache.SetRemoteCacheDirectory(str(folder))
        manager = slicer.vtkDataIOManager()
        manager.SetCacheManager(cache)
        self.scene.SetCacheManager(cache)
        self.scene.SetDataIOManager(manager)

    def _load(self, name: str) -> vtk.vtkObject:
        logic = getattr(slicer, LOGICS[name])()
        logic.SetMRMLApplicationLogic(self._application_logic)
        self._application_logic.SetModuleLogic(LOGIC_NAMES[name], logic)
        logic.SetMRMLScene(self.scene)
        return logic

    def _module(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(logic=lambda: self.logics[name], path="")

    def _views(self) -> None:
        """Slice views as the four-up layout has them, each with its logic."""
        collection = vtk.vtkCollection()
        self.slice_logics = {}
        for name, (label, orientation) in VIEWS.items():
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLApplicationLogic(self._application_logic)
            logic.SetMRMLScene(self.scene)
            node = logic.AddSliceNode(name)
            node.SetLayoutLabel(label)
            node.SetOrientation(orientation)
            node.SetMappedInLayout(1)
            self.slice_logics[name] = logic
            collection.AddItem(logic)
        self._application_logic.SetSliceLogics(collection)
        self._application_logic.GetInteractionNode()

    def applicationLogic(self) -> vtk.vtkObject:
        return self._application_logic

    def layoutManager(self) -> SlicerApplication:
        return self

    def sliceViewNames(self) -> list[str]:
        return list(self.slice_logics)

    def sliceWidget(self, name: str) -> SimpleNamespace:
        logic = self.slice_logics[name]
        return SimpleNamespace(sliceLogic=lambda: logic, mrmlSliceNode=logic.GetSliceNode)

    def resetSliceViews(self) -> None:
        for logic in self.slice_logics.values():
            logic.FitSliceToAll()

    def testingEnabled(self) -> bool:
        return True

    def translate(self, context: str, text: str) -> str:
        return text

    def moduleManager(self) -> SlicerApplication:
        return self

    def connect(self, signal: str, receiver: object) -> None:
        """No module is ever unloaded."""

    def disconnect(self, signal: str, receiver: object) -> None:
        """See `connect`."""

    def processEvents(self) -> None:
        """The tests do so themselves."""

    def setOverrideCursor(self, cursor: object) -> None:
        """There is no cursor."""

    def restoreOverrideCursor(self) -> None:
        """There is no cursor."""

    def show(self, volume: object) -> None:
        """Put a volume behind all slice views, as loading one does."""
        selection = self._application_logic.GetSelectionNode()
        selection.SetActiveVolumeID(volume.GetID() if volume else None)
        self._application_logic.PropagateVolumeSelection(1)

    def close(self) -> None:
        """Empty the scene and let go of it."""
        for logic in self.slice_logics.values():
            logic.SetMRMLScene(None)
        self.scene.Clear(True)


def start(folder: Path) -> SlicerApplication:
    """A new application with an empty scene; the one before is forgotten.

    Args:
        folder: For temporary files and the scene.
    """
    return SlicerApplication(folder)
