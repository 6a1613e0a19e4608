"""Slicer's and CTK's widgets as far as the panel uses them, and the loader that makes them.

Each has the properties, functions and signals of the real one that the panel touches, and looks
about like it, so that a picture of the panel is worth a look.
"""

# ruff: noqa: N801, N802, N815 - the spelling is that of Slicer and Qt
from __future__ import annotations

import sys
import types
import xml.etree.ElementTree as ElementTree
from typing import Any

from harness.slicer_qt import QtCore, QtGui, QtWidgets, wrapper_of
from PySide6.QtUiTools import QUiLoader

Property, Signal = QtCore.Property, QtCore.Signal


class qMRMLWidget(QtWidgets.QWidget):
    """Hands its scene on to the widgets that the .ui file connects to it, and to no others."""

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        for name in getattr(self, "connected", ()):
            self.findChild(QtWidgets.QWidget, name).setMRMLScene(scene)

    def mrmlScene(self) -> Any:
        return getattr(self, "_scene", None)


class qMRMLNodeComboBox(QtWidgets.QComboBox):
    """Lists the nodes of some classes, as the real one does."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._values: dict[str, Any] = {"nodeTypes": [], "noneEnabled": False}
        self._scene: Any = None
        self._ids: list[str] = []
        self._current = ""
        self.currentIndexChanged.connect(self._chosen)

    def setMRMLScene(self, scene: Any) -> None:
        import slicer

        if scene is self._scene:
            return
        self._scene = scene
        for event in (slicer.vtkMRMLScene.NodeAddedEvent, slicer.vtkMRMLScene.NodeRemovedEvent):
            scene.AddObserver(event, lambda *_: self._refresh())
        scene.AddObserver(slicer.vtkMRMLScene.EndCloseEvent, lambda *_: self._refresh())
        self._refresh()

    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self._current) if self._scene and self._current else None

    def currentNodeID(self) -> str:
        return self._current

    def setCurrentNode(self, node: Any) -> None:
        self._select(node.GetID() if node is not None else "")

    def addNode(self, class_name: str = "") -> Any:
        kind = class_name or self._values["nodeTypes"][0]
        base = self._values.get("baseName") or kind.removeprefix("vtkMRML").removesuffix("Node")
        node = self._scene.AddNewNodeByClass(kind, self._scene.GenerateUniqueName(base))
        self.setCurrentNode(node)
        return node

    def _nodes(self) -> list[Any]:
        found = []
        for kind in self._values["nodeTypes"]:
            for number in range(self._scene.GetNumberOfNodesByClass(kind)):
                node = self._scene.GetNthNodeByClass(number, kind)
                exact = node.GetClassName() == kind or self._values.get("showChildNodeTypes", True)
                if exact and not node.GetHideFromEditors() and node not in found:
                    found.append(node)
        return found

    def _refresh(self) -> None:
        if self._scene is None:
            return
        nodes = self._nodes()
        ids, titles = [node.GetID() for node in nodes], [node.GetName() for node in nodes]
        if self._values["noneEnabled"]:
            ids, titles = ["", *ids], [self._values.get("noneDisplay") or "None", *titles]
        blocked = self.blockSignals(True)
        self.clear()
        self._ids = ids
        self.addItems(titles)
        self.blockSignals(blocked)
        gone = self._current not in ids
        self._select((ids[0] if ids else "") if gone else self._current)

    def _select(self, identifier: str) -> None:
        blocked = self.blockSignals(True)
        self.setCurrentIndex(self._ids.index(identifier) if identifier in self._ids else -1)
        self.blockSignals(blocked)
        if identifier != self._current:
            self._current = identifier
            self.currentNodeIDChanged.emit(identifier)
            self.currentNodeChanged.emit(self.currentNode())

    def _chosen(self, index: int) -> None:
        self._select(self._ids[index] if 0 <= index < len(self._ids) else "")


def _stored(kind: type, name: str) -> Any:
    def get(self: Any) -> Any:
        return self._values.get(name, kind())

    def put(self: Any, value: Any) -> None:
        self._values[name] = value
        if isinstance(self, qMRMLNodeComboBox):
            self._refresh()

    return Property("QStringList" if kind is list else kind, get, put)


for _name, _kind in {
    "nodeTypes": list,
    "noneEnabled": bool,
    "noneDisplay": str,
    "addEnabled": bool,
    "removeEnabled": bool,
    "renameEnabled": bool,
    "showHidden": bool,
    "showChildNodeTypes": bool,
    "selectNodeUponCreation": bool,
    "baseName": str,
}.items():
    setattr(qMRMLNodeComboBox, _name, _stored(_kind, _name))


class ctkCollapsibleButton(QtWidgets.QWidget):
    """A titled part of the panel that folds away."""

    contentsCollapsed = Signal(bool)
    HEADER = 24

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._text, self._collapsed = "", False
        self.setContentsMargins(0, self.HEADER, 0, 0)

    def _get_text(self) -> str:
        return self._text

    def _set_text(self, text: str) -> None:
        self._text = text
        self.update()

    def _get_collapsed(self) -> bool:
        return self._collapsed

    def _set_collapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(not collapsed)
        self.setMaximumHeight(self.HEADER if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    text = Property(str, _get_text, _set_text)
    collapsed = Property(bool, _get_collapsed, _set_collapsed)

    def sizeHint(self) -> Any:
        hint = super().sizeHint()
        return QtCore.QSize(hint.width(), self.HEADER) if self._collapsed else hint

    def mousePressEvent(self, event: Any) -> None:
        if event.position().y() <= self.HEADER:
            self.collapsed = not self._collapsed

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        box = QtCore.QRect(0, 0, self.width(), self.HEADER - 3)
        painter.setPen(QtCore.Qt.PenStyle.NoPen)
        painter.setBrush(self.palette().button().color().darker(106))
        painter.drawRoundedRect(box, 3, 3)
        painter.setPen(self.palette().buttonText().color())
        mark = "\N{BLACK RIGHT-POINTING SMALL TRIANGLE}"
        if not self._collapsed:
            mark = "\N{BLACK DOWN-POINTING SMALL TRIANGLE}"
        painter.drawText(box.adjusted(8, 0, 0, 0), QtCore.Qt.AlignmentFlag.AlignVCenter, mark)
        painter.drawText(
            box.adjusted(24, 0, 0, 0), QtCore.Qt.AlignmentFlag.AlignVCenter, self._text
        )
        painter.end()


class _BrowserWidget(QtWidgets.QWidget):
    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.node: Any = None
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self.build(layout)

    def setMRMLScene(self, scene: Any) -> None:
        self.scene = scene

    def setRecordingControlsVisible(self, visible: bool) -> None:
        self.recording = visible

    def setMRMLSequenceBrowserNode(self, node: Any) -> None:
        self.node = node
        self.setEnabled(node is not None)


class qMRMLSequenceBrowserPlayWidget(_BrowserWidget):
    def build(self, layout: Any) -> None:
        style, icons = self.style(), QtWidgets.QStyle.StandardPixmap
        for icon in (icons.SP_MediaSkipBackward, icons.SP_MediaPlay, icons.SP_MediaSkipForward):
            button = QtWidgets.QToolButton(self)
            button.setIcon(style.standardIcon(icon))
            button.setAutoRaise(True)
            layout.addWidget(button)


class qMRMLSequenceBrowserSeekWidget(_BrowserWidget):
    def build(self, layout: Any) -> None:
        self.slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal, self)
        layout.addWidget(self.slider)
        self.slider.valueChanged.connect(self._moved)

    def setMRMLSequenceBrowserNode(self, node: Any) -> None:
        super().setMRMLSequenceBrowserNode(node)
        if node is not None:
            self._tag = node.AddObserver("ModifiedEvent", lambda *_: self._follow())
            self._follow()

    def _follow(self) -> None:
        blocked = self.slider.blockSignals(True)
        self.slider.setMaximum(max(self.node.GetNumberOfItems() - 1, 0))
        self.slider.setValue(self.node.GetSelectedItemNumber())
        self.slider.blockSignals(blocked)

    def _moved(self, value: int) -> None:
        self.node.SetSelectedItemNumber(value)


SLICER_WIDGETS = (
    qMRMLWidget,
    qMRMLNodeComboBox,
    qMRMLSequenceBrowserPlayWidget,
    qMRMLSequenceBrowserSeekWidget,
)
CTK_WIDGETS = (ctkCollapsibleButton,)


class _Loader(QUiLoader):
    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        for kind in (*SLICER_WIDGETS, *CTK_WIDGETS):
            self.registerCustomWidget(kind)


def install(slicer: Any) -> None:
    """Put the widgets where Slicer has them: `slicer.qMRML...`, `ctk.ctk...`."""
    import qt

    for kind in SLICER_WIDGETS:
        setattr(slicer, kind.__name__, wrapper_of(kind))
    ctk = types.ModuleType("ctk")
    for kind in CTK_WIDGETS:
        setattr(ctk, kind.__name__, wrapper_of(kind))
    sys.modules["ctk"] = ctk
    qt.QUiLoader = type("QUiLoader", (), {"load": staticmethod(_load)})


def _load(file: Any) -> Any:
    from harness.slicer_qt import unwrap, wrap

    tree = ElementTree.fromstring(bytes(unwrap(file).readAll().data()))
    connections = tree.find("connections")
    receivers = []
    for connection in list(connections) if connections is not None else []:
        assert connection.findtext("signal") == "mrmlSceneChanged(vtkMRMLScene*)"
        assert connection.findtext("slot") == "setMRMLScene(vtkMRMLScene*)"
        receivers.append(connection.findtext("receiver"))
        connections.remove(connection)  # the types of its signal are unknown to PySide
    buffer = QtCore.QBuffer()
    buffer.setData(ElementTree.tostring(tree))
    loaded = _Loader().load(buffer)
    loaded.connected = receivers
    return wrap(loaded)
