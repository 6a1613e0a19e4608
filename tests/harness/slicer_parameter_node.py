"""`slicer.parameterNodeWrapper` as far as the extension uses it, over a real MRML node.

Typed attributes stored as text (and node references) of a scripted module node, with defaults,
ranges, and a two-way binding to widgets. The real one has more types and more widgets, and is
part of Slicer, not of slicer-core; `slicer_packages` takes it instead where it is at hand.
"""

# ruff: noqa: N802, N803 - the spelling is that of Slicer and Qt
from __future__ import annotations

import enum
import typing
from dataclasses import dataclass
from functools import partial
from typing import Any

import qt
import slicer
import vtk


@dataclass
class Minimum:
    minimum: float


@dataclass
class WithinRange:
    minimum: float
    maximum: float


class _Field:
    """One parameter: how it is written into the node and read from it."""

    def __init__(self, name: str, hint: Any, default: Any) -> None:
        arguments = typing.get_args(hint)
        annotated = typing.get_origin(hint) is typing.Annotated
        self.name, self.kind = name, arguments[0] if annotated else hint
        self.limits = arguments[1:] if annotated else ()
        self.default = self._blank() if default is None else default

    def _blank(self) -> Any:
        if issubclass(self.kind, enum.Enum):
            return next(iter(self.kind))
        return None if issubclass(self.kind, slicer.vtkMRMLNode) else self.kind()

    def write(self, node: Any, value: Any) -> None:
        if issubclass(self.kind, slicer.vtkMRMLNode):
            if value is not None and not isinstance(value, self.kind):
                raise ValueError(f"{self.name} is a {self.kind.__name__}, not {value!r}")
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
            return
        if not isinstance(value, self.kind):
            raise ValueError(f"{self.name} is {self.kind.__name__}, not {value!r}")
        for limit in self.limits:
            if value < limit.minimum or value > getattr(limit, "maximum", value):
                raise ValueError(f"{self.name} = {value} is outside {limit}")
        node.SetParameter(self.name, value.name if isinstance(value, enum.Enum) else str(value))

    def read(self, node: Any) -> Any:
        if not node.HasParameter(self.name):  # the scene was emptied
            self.write(node, self.default)
        if issubclass(self.kind, slicer.vtkMRMLNode):
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if issubclass(self.kind, enum.Enum):
            return self.kind[text]
        return text == "True" if self.kind is bool else self.kind(text)

    def property(self) -> property:
        return property(
            lambda wrapper: self.read(wrapper.parameterNode),
            lambda wrapper, value: self.write(wrapper.parameterNode, value),
        )


class _Widget:
    """How a widget's value is read, written and observed."""

    def __init__(self, widget: Any, field: _Field) -> None:
        self._widget, self._field = widget, field
        if type(widget) == qt.QSpinBox:  # noqa: E721, as the real connectors compare
            for limit in field.limits:
                widget.minimum = limit.minimum
                widget.maximum = getattr(limit, "maximum", 2**31 - 1)
        if type(widget) == qt.QComboBox:  # noqa: E721
            widget.clear()
            for member in field.kind:
                widget.addItem(member.label())

    @property
    def _signal(self) -> str:
        return {
            qt.QCheckBox: "stateChanged",
            qt.QPushButton: "toggled",
            qt.QSpinBox: "valueChanged",
            qt.QComboBox: "currentIndexChanged",
            qt.QLineEdit: "textChanged",
        }.get(type(self._widget), "currentNodeChanged")

    def observe(self, function: Any) -> None:
        self._function = function
        getattr(self._widget, self._signal).connect(function)

    def forget(self) -> None:
        getattr(self._widget, self._signal).disconnect(self._function)

    def read(self) -> Any:
        widget, kind = self._widget, type(self._widget)
        if kind in (qt.QCheckBox, qt.QPushButton):
            return widget.checked
        if kind == qt.QSpinBox:
            return widget.value
        if kind == qt.QComboBox:
            return list(self._field.kind)[widget.currentIndex]
        return widget.text if kind == qt.QLineEdit else widget.currentNode()

    def write(self, value: Any) -> None:
        widget, kind = self._widget, type(self._widget)
        if kind in (qt.QCheckBox, qt.QPushButton):
            widget.checked = value
        elif kind == qt.QSpinBox:
            widget.value = value
        elif kind == qt.QComboBox:
            widget.currentIndex = list(self._field.kind).index(value)
        elif kind == qt.QLineEdit:
            widget.text = value
        else:
            widget.setCurrentNode(value)


class _Wrapper:
    """What the decorator adds to a class of parameters."""

    _fields: typing.ClassVar[dict[str, _Field]]

    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._bound: dict[str, _Widget] = {}
        self._updating = False
        for name, field in self._fields.items():
            if not parameterNode.HasParameter(name):
                field.write(parameterNode, field.default)

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        for name, widget in mapping.items():
            bound = self._bound[name] = _Widget(widget, self._fields[name])
            bound.write(getattr(self, name))
            bound.observe(partial(self._update_parameter, name))
        return self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._update_widgets())

    def disconnectGui(self, tag: int) -> None:
        self.RemoveObserver(tag)
        for bound in self._bound.values():
            bound.forget()
        self._bound.clear()

    def AddObserver(self, event: int, function: Any) -> int:
        return self.parameterNode.AddObserver(event, function)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def _update_parameter(self, name: str) -> None:
        if not self._updating:
            setattr(self, name, self._bound[name].read())

    def _update_widgets(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for name, bound in self._bound.items():
                bound.write(getattr(self, name))
        finally:
            self._updating = False


def parameterNodeWrapper(cls: type) -> type:
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {name: _Field(name, hint, getattr(cls, name, None)) for name, hint in hints.items()}
    members = {name: field.property() for name, field in fields.items()}
    return type(cls.__name__, (_Wrapper,), {**members, "_fields": fields, "__doc__": cls.__doc__})
