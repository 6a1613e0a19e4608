"""The Python packages that Slicer has and slicer-core has not.

Stand-ins of `slicer.i18n`, `slicer.parameterNodeWrapper` and `slicer.ScriptedLoadableModule`. With
IBISAGENT_SLICER_PYTHON naming the folder ``Base/Python`` of Slicer's source, the real ones are
taken: the same tests then say more.
"""

# ruff: noqa: N802, N815 - the spelling is that of Slicer and Qt
from __future__ import annotations

import importlib
import os
import sys
import types
import unittest
from pathlib import Path
from typing import Any

REAL = os.environ.get("IBISAGENT_SLICER_PYTHON", "")


def install(slicer: Any) -> None:
    """Put the packages into place; `qt` and `ctk` have to be there."""
    if REAL:
        _install_real(slicer)
        return
    i18n = types.ModuleType("slicer.i18n")
    i18n.tr = lambda text: text
    i18n.translate = lambda context, text: text
    from harness import slicer_parameter_node

    scripted = types.ModuleType("slicer.ScriptedLoadableModule")
    kinds = (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    )
    for kind in kinds:
        setattr(scripted, kind.__name__, kind)
    scripted.__all__ = [kind.__name__ for kind in kinds]
    for name, module in {
        "i18n": i18n,
        "parameterNodeWrapper": slicer_parameter_node,
        "ScriptedLoadableModule": scripted,
    }.items():
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)


def _install_real(slicer: Any) -> None:
    tree_view = types.ModuleType("qSlicerSubjectHierarchyModuleWidgetsPythonQt")
    tree_view.qMRMLSubjectHierarchyTreeView = type("qMRMLSubjectHierarchyTreeView", (), {})
    sys.modules[tree_view.__name__] = tree_view
    # It names widgets that this panel does not have.
    sys.modules["ctk"].__getattr__ = lambda name: type(name, (), {})
    for name in ("qMRMLRangeWidget", "qMRMLSliderWidget", "qMRMLSpinBox"):
        setattr(slicer, name, type(name, (), {}))
    slicer.__path__ = [*slicer.__path__, str(Path(REAL) / "slicer")]
    for name in ("i18n", "parameterNodeWrapper", "ScriptedLoadableModule"):
        setattr(slicer, name, importlib.import_module(f"slicer.{name}"))


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__

    def resourcePath(self, name: str) -> str:
        return str(Path(self.parent.path).parent / "Resources" / name)


class ScriptedLoadableModuleWidget:
    def __init__(self, parent: Any = None) -> None:
        import slicer

        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout()
        self._module_path = slicer.modules.ibisagent.path

    def resourcePath(self, name: str) -> str:
        return str(Path(self._module_path).parent / "Resources" / name)

    def setup(self) -> None:
        pass

    def cleanup(self) -> None:
        pass


class ScriptedLoadableModuleLogic:
    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")


class ScriptedLoadableModuleTest(unittest.TestCase):
    messageDelay = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*(arguments or ("runTest",)))

    def delayDisplay(self, message: str, msec: int = 0) -> None:
        pass

    def runTest(self) -> None:
        pass
