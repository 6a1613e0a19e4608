"""IBISAgent in 3D Slicer: module, widget and self-test. All else is in IBISAgentLib."""

from __future__ import annotations

import sys
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

from IBISAgentLib import parameter, sample_data, self_test
from IBISAgentLib.logic import Logic
from IBISAgentLib.widget import Panel


class IBISAgent(ScriptedLoadableModule):
    """What Slicer's list of modules shows."""

    def __init__(self, parent: object) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("IBISAgent")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "Markups", "Sequences"]
        self.parent.contributors = ["The IBISAgent for MONAI Label authors"]
        self.parent.helpText = _(
            "Type what you want segmented. An agent on a MONAI Label server thinks aloud, clicks, "
            "looks at the mask that a segmentation tool makes of its clicks, and clicks again "
            "until it is satisfied. Watch it, step in with clicks of your own, step back, and "
            "accept. For research, not for clinical use."
        )
        self.parent.acknowledgementText = _(
            "The method is that of the publication IBISAgent (arXiv 2601.03054); this software is "
            "an independent implementation on MONAI Label and 3D Slicer."
        )
        # Other modules, Sample Data among them, are not there before Slicer has started.
        slicer.app.connect("startupCompleted()", self._register_sample_data)

    def _register_sample_data(self) -> None:
        sample_data.register(Path(self.parent.path).parent / "Resources")


class IBISAgentWidget(ScriptedLoadableModuleWidget):
    """Loads the panel, and follows the scene."""

    def __init__(self, parent: object = None) -> None:
        self.panel: Panel | None = None
        self.logic: Logic | None = None
        self._observers: list[int] = []
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self) -> None:
        """The user opens the module for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        root = slicer.util.loadUI(self.resourcePath("UI/IBISAgent.ui"))
        root.setMRMLScene(slicer.mrmlScene)
        self.layout.addWidget(root)
        self._root, self._ui = root, slicer.util.childWidgetVariables(root)
        for name, icon in _ICONS.items():
            getattr(self._ui, name).setIcon(qt.QIcon(self.resourcePath(f"Icons/{icon}.png")))
        self._take_scene()
        scene = slicer.mrmlScene
        for event, function in (
            (scene.StartCloseEvent, self._scene_closes),
            (scene.EndCloseEvent, self._scene_loaded),
            (scene.EndImportEvent, self._scene_loaded),
        ):
            self._observers.append(scene.AddObserver(event, function))

    def enter(self) -> None:
        """The user comes to the module."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self) -> None:
        """The user goes to another module."""
        if self.panel is not None:
            self.panel.exit()

    def cleanup(self) -> None:
        """The module is unloaded, or reloaded."""
        for tag in self._observers:
            slicer.mrmlScene.RemoveObserver(tag)
        self._observers.clear()
        if self.panel is not None:
            self.panel.close()
            self.panel = None

    def onReload(self) -> None:
        """Developer mode's Reload: also the files of the library."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "IBISAgentLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def _take_scene(self) -> None:
        parameters = parameter.Parameters(parameter.parameter_node())
        self.logic = Logic(parameters)
        self.panel = Panel(self._root, self._ui, parameters, self.logic)

    def _scene_closes(self, caller: vtk.vtkObject, event: str) -> None:
        if self.panel is not None:
            self.panel.scene_closes()

    def _scene_loaded(self, caller: vtk.vtkObject, event: str) -> None:
        if self.panel is not None:
            self.panel.scene_loaded(parameter.Parameters(parameter.parameter_node()))


_ICONS = {
    "runButton": "Run",
    "cancelButton": "Cancel",
    "positiveButton": "Positive",
    "negativeButton": "Negative",
    "undoButton": "Undo",
    "continueButton": "Continue",
    "acceptButton": "Accept",
}


class IBISAgentTest(ScriptedLoadableModuleTest):
    """The self-test: one click in Slicer's developer mode; needs no server."""

    def setUp(self) -> None:
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Each check on a scene of its own."""
        for check in self_test.CHECKS:
            self.setUp()
            self.delayDisplay(check.__name__.replace("_", " "))
            check()
        self.delayDisplay(_("IBISAgent: all checks passed"))
