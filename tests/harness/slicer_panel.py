"""The module as a user has it open: application, scene, slice views, and the panel.

Importing this puts the stand-ins of Slicer's packages into place, so that the extension's files
can be imported. `open_module` does what Slicer does when the module is opened; `Module` has what
a person would do next: type, press, wait, look.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import slicer_application, slicer_qt

_QT_APPLICATION = slicer_qt.install(tempfile.mkdtemp(prefix="settings-"))

from harness import slicer_packages, slicer_widgets  # noqa: E402

slicer = slicer_application.slicer
slicer_widgets.install(slicer)
slicer_packages.install(slicer)

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "slicer_extension" / "IBISAgent"
MODULE_FOLDER = Path(os.environ.get("IBISAGENT_MODULE", SOURCE))
"""Where the module is taken from; the packaging test names the packed tree."""


class Module:
    """An open module.

    Attributes:
        application: Stand-in of `slicer.app`.
        widget: The module's widget.
        ui: Its children by name.
        asked: Questions that the user was asked; `agrees` is the answer.
    """

    def __init__(self, folder: Path) -> None:
        import qt

        qt.QSettings().clear()
        self.application = slicer_application.start(folder)
        self.slicer = slicer
        slicer.modules.ibisagent.path = str(MODULE_FOLDER / "IBISAgent.py")
        slicer.util.mainWindow = lambda verbose=True: None
        self.failures: list[BaseException] = []
        self._hook, sys.excepthook = sys.excepthook, self._failed
        self.asked: list[str] = []
        self.agrees = True
        slicer.util.confirmOkCancelDisplay = self._answer
        self._open()

    def _open(self) -> None:
        import qt

        module = importlib.import_module("IBISAgent")
        self.parent = self.slicer.qMRMLWidget()
        self.parent.setLayout(qt.QVBoxLayout())
        self.widget = module.IBISAgentWidget(self.parent)
        self.widget.setup()
        self.ui = self.widget._ui

    @property
    def logic(self) -> Any:
        return self.widget.logic

    @property
    def parameters(self) -> Any:
        return self.widget.panel.parameters

    def _answer(self, text: str, title: str = "") -> bool:
        self.asked.append(text)
        return self.agrees

    def _failed(self, kind: type, error: BaseException, trace: Any) -> None:
        """What a slot or an observer raises would only be printed."""
        self.failures.append(error)
        self._hook(kind, error, trace)

    def events(self, seconds: float = 0.0) -> None:
        """Let Qt do what is due."""
        until = time.monotonic() + seconds
        while True:
            _QT_APPLICATION.processEvents()
            if self.failures:
                raise self.failures.pop()
            if time.monotonic() >= until:
                return
            time.sleep(0.01)

    def wait(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Let time pass until something is so."""
        until = time.monotonic() + seconds
        while not condition():
            said = (self.ui.serverStatusLabel.text, self.ui.statusLabel.text)
            assert time.monotonic() < until, f"not so within {seconds} s; the panel says {said}"
            self.events(0.02)

    def connect(self, url: str) -> None:
        """Enter an address and press the button; wait for the answer."""
        self.ui.serverCombo.setEditText(url)
        self.ui.connectButton.click()
        self.wait(lambda: not self.logic.connection.waiting, 30)

    def load(self, path: Path) -> Any:
        """Load a volume as the Data module would, and show it."""
        import SimpleITK as sitk

        return self.show(sitk.ReadImage(str(path)), path.name.split(".")[0])

    def show(self, image: Any, name: str) -> Any:
        """Put a SimpleITK image into the scene, behind the slice views."""
        from harness.slicer_story import volume_node

        volume = volume_node(slicer, image, name)
        self.application.show(volume)
        for logic in self.application.slice_logics.values():
            logic.FitSliceToAll(400, 400)
        return volume

    def tell(self, events: list[Any], rest: bool = True) -> Any:
        """Have a run told by these events, as if a server had sent them; returns the run."""
        from IBISAgentLib.run import Run
        from IBISAgentLib.upload import world_grid
        from IBISAgentLib.worker import Happened, Rested

        logic, volume = self.logic, self.parameters.inputVolume
        if logic.run is None:
            logic.run = Run(volume, world_grid(volume), self.parameters.plane.value)
            logic.run.id = "r1"
        logic.run.works()
        for event in events:
            logic._waiting.append(Happened("r1", event))
        if rest:
            logic._waiting.append(Rested("r1", None))
        self.wait(lambda: not logic._waiting)
        return logic.run

    def answered(self, **info: Any) -> None:
        """Be connected, as if a server had answered."""
        from IBISAgentLib.run_fields import ServerInfo

        said = {"version": "0.1.0", "format": "ibisagent-events/1", **info}
        self.logic.connection.heard(ServerInfo(**said))
        self.logic.on_change("connection")

    def picture(self, path: Path, width: int = 440, height: int = 0) -> Path:
        """Render the panel to PNG."""
        real = self.parent._real
        real.resize(width, height or max(real.sizeHint().height(), 200))
        real.show()
        self.events(0.05)
        path.parent.mkdir(parents=True, exist_ok=True)
        assert real.grab().save(str(path))
        return path

    def close(self) -> None:
        self.widget.cleanup()
        self.parent._real.hide()
        self.application.close()
        sys.excepthook = self._hook
        if self.failures:
            raise self.failures[0]


@contextmanager
def open_module(folder: Path) -> Iterator[Module]:
    """The module in a fresh application; settings and files go to `folder`."""
    sys.path.insert(0, str(MODULE_FOLDER))
    try:
        module = Module(folder)
        try:
            yield module
        finally:
            module.close()
    finally:
        sys.path.remove(str(MODULE_FOLDER))
