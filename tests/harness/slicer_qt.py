"""Qt as Slicer's Python sees it: PythonQt's manners over PySide6, without a screen.

In Slicer, `import qt` gives Qt through PythonQt: properties are attributes (`button.enabled`,
`edit.text = "x"`), signals are connected by their signature (`connect("clicked(bool)", f)`), and a
property hides the method of its name (`edit.text()` fails). `install` puts modules `qt` and `ctk`
into `sys.modules` that behave so, and wraps every QObject that comes out of them.
"""

# ruff: noqa: N802 - the spelling is that of Slicer and Qt
from __future__ import annotations

import inspect
import os
import sys
import types
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
QtCore = pytest.importorskip("PySide6.QtCore", reason="PySide6 is not installed")
QtWidgets = pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or a library of its is absent")
from PySide6 import QtGui, QtUiTools  # noqa: E402

_MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)
_WRAPPERS: dict[type, type] = {}


class _Class(type):
    """Class of wrappers: enumerations and static functions are those of the Qt class."""

    def __getattr__(cls, name: str) -> Any:
        value = getattr(cls._class, name)
        is_function = callable(value) and not isinstance(value, type | Enum)
        return _method(value) if is_function else value


class Wrapped:
    """A QObject in PythonQt's manners. Subclasses, one a Qt class, are made by `wrapper_of`."""

    _class: type

    def __init__(self, *arguments: Any) -> None:
        object.__setattr__(self, "_real", self._class(*map(unwrap, arguments)))
        self._real._wrapper = self

    def connect(self, signature: str, receiver: Callable[..., Any]) -> bool:
        name, _, arguments = signature.partition("(")
        count = len([part for part in arguments.rstrip(")").split(",") if part])
        _signal(self._real, name).connect(_receiver(self._real, receiver, count))
        return True

    def disconnect(self, signature: str, receiver: Callable[..., Any]) -> bool:
        name = signature.partition("(")[0]
        return _disconnect(self._real, _signal(self._real, name), receiver)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        real = self._real
        if name == "name":
            name = "objectName"
        if _is_property(real, name):
            return wrap(real.property(name))
        value = getattr(real, name)
        if isinstance(value, QtCore.SignalInstance):
            return _Signal(real, value)
        return _method(value) if callable(value) and not isinstance(value, type) else wrap(value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "name":
            name = "objectName"
        if _is_property(self._real, name):
            if not self._real.setProperty(name, _as_property(unwrap(value))):
                raise ValueError(f"{self._class.__name__}.{name} does not take {value!r}")
        else:
            object.__setattr__(self, name, value)

    def findChildren(self, kind: Any = None, name: str = "") -> list[Any]:
        return [wrap(child) for child in self._real.findChildren(_class_of(kind), name or None)]

    def findChild(self, kind: Any, name: str) -> Any:
        return wrap(self._real.findChild(_class_of(kind), name))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wrapped) and other._real is self._real

    def __hash__(self) -> int:
        return id(self._real)

    def __repr__(self) -> str:
        return f"<{self._class.__name__} {self._real.objectName()!r}>"


class _Signal:
    """`widget.clicked` in PythonQt: an object with connect and disconnect."""

    def __init__(self, real: Any, signal: Any) -> None:
        self._real, self._signal = real, signal

    def connect(self, receiver: Callable[..., Any]) -> None:
        self._signal.connect(_receiver(self._real, receiver, None))

    def disconnect(self, receiver: Callable[..., Any]) -> None:
        _disconnect(self._real, self._signal, receiver)

    def emit(self, *arguments: Any) -> None:
        self._signal.emit(*map(unwrap, arguments))


def wrapper_of(kind: type) -> type:
    """The wrapper of a Qt class, the same each time, so that ``type(w) == qt.QComboBox`` holds."""
    if kind not in _WRAPPERS:
        _WRAPPERS[kind] = _Class(kind.__name__, (Wrapped,), {"_class": kind})
    return _WRAPPERS[kind]


def wrap(value: Any) -> Any:
    """What Python code in Slicer would get for a value of Qt."""
    if isinstance(value, QtCore.QObject):
        known = getattr(value, "_wrapper", None)
        if known is None:
            known = object.__new__(wrapper_of(type(value)))
            object.__setattr__(known, "_real", value)
            value._wrapper = known
        return known
    if isinstance(value, list | tuple):
        return type(value)(map(wrap, value))
    return value


def unwrap(value: Any) -> Any:
    """The value of Qt behind what Python code in Slicer holds."""
    if isinstance(value, Wrapped):
        return value._real
    if isinstance(value, list | tuple):
        return type(value)(map(unwrap, value))
    return value


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:  # PythonQt knows no named arguments
        return wrap(function(*map(unwrap, arguments)))

    return call


def _as_property(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _is_property(real: Any, name: str) -> bool:
    return real.metaObject().indexOfProperty(name) >= 0 or name in _dynamic(real)


def _dynamic(real: Any) -> set[str]:
    return {bytes(name.data()).decode() for name in real.dynamicPropertyNames()}


def _signal(real: Any, name: str) -> Any:
    signal = getattr(real, name)
    if not isinstance(signal, QtCore.SignalInstance):
        raise TypeError(f"{type(real).__name__} has no signal {name!r}")
    return signal


def _receiver(real: Any, receiver: Callable[..., Any], count: int | None) -> Callable[..., Any]:
    """A slot with as many arguments as the signature, or as the function, has."""
    takes = _takes(receiver)

    def call(*arguments: Any) -> None:
        receiver(*map(wrap, arguments[:takes]))

    # PySide chooses among the forms of a signal by the number of arguments that the slot names.
    slot = _SLOTS[min(takes, 4) if count is None else count](call)
    receivers = real.__dict__.setdefault("_receivers", [])
    receivers.append((receiver, slot))
    return slot


_SLOTS: list[Callable[[Callable[..., None]], Callable[..., None]]] = [
    lambda call: lambda: call(),
    lambda call: lambda a: call(a),
    lambda call: lambda a, b: call(a, b),
    lambda call: lambda a, b, c: call(a, b, c),
    lambda call: lambda a, b, c, d: call(a, b, c, d),
]


def _takes(receiver: Callable[..., Any]) -> int:
    try:
        parameters = inspect.signature(receiver).parameters.values()
    except (TypeError, ValueError):
        return 4
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 4
    return len([p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)])


def _disconnect(real: Any, signal: Any, receiver: Callable[..., Any]) -> bool:
    for pair in real.__dict__.get("_receivers", []):
        if pair[0] == receiver:
            real.__dict__["_receivers"].remove(pair)
            return bool(signal.disconnect(pair[1]))
    return False


def _class_of(kind: Any) -> type:
    return (
        kind._class if isinstance(kind, type) and issubclass(kind, Wrapped) else QtWidgets.QWidget
    )


class _QtModule(types.ModuleType):
    """`qt`: the classes of QtCore, QtGui, QtWidgets and QtUiTools under one roof."""

    def __getattr__(self, name: str) -> Any:
        for module in _MODULES:
            if hasattr(module, name):
                value = getattr(module, name)
                if isinstance(value, type) and issubclass(value, QtCore.QObject):
                    value = wrapper_of(value)
                setattr(self, name, value)
                return value
        raise AttributeError(f"qt has no {name}")


def install(settings_folder: str) -> QtWidgets.QApplication:
    """Put `qt` in place, and make the application object; settings go to a folder of the test."""
    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
    application.setStyle("Fusion")
    _give_it_a_font(application)
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    for scope in (QtCore.QSettings.Scope.UserScope, QtCore.QSettings.Scope.SystemScope):
        QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, scope, settings_folder)
    application.setOrganizationName("NA-MIC")
    application.setApplicationName("Slicer")
    sys.modules["qt"] = _QtModule("qt")
    return application


def _give_it_a_font(application: QtWidgets.QApplication) -> None:
    """PySide6 brings no font; matplotlib does."""
    from matplotlib import get_data_path

    database = QtGui.QFontDatabase
    for face in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf"):
        database.addApplicationFont(f"{get_data_path()}/fonts/ttf/{face}")
    application.setFont(QtGui.QFont("DejaVu Sans", 9))
