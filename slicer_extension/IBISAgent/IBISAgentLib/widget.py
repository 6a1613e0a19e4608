"""The panel: binds its widgets to the logic, and says what is going on."""

from __future__ import annotations

import types
from collections.abc import Callable

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from . import logic as changes
from . import status, views
from .errors import ClientError
from .history import History
from .logic import Logic
from .parameter import Parameters, Scope
from .request import Place, shown_slice
from .result_panel import ResultPanel
from .saying import TROUBLE, escaped, say
from .server_panel import ServerPanel
from .steps_table import StepsTable
from .take_over import TakeOver
from .training_panel import TrainingPanel
from .upload import world_grid

PROMPTS_KEY = "IBISAgent/prompts"
POLL_MILLISECONDS = 100


class Panel:
    """All of the panel.

    Args:
        root: The widget that the .ui file describes.
        ui: Its children by name.
        parameters: Of the module.
        logic: What the buttons do.
        ask: Puts a question to the user and returns the answer; the only modal dialog.
    """

    def __init__(
        self,
        root: qt.QWidget,
        ui: types.SimpleNamespace,
        parameters: Parameters,
        logic: Logic,
        ask: Callable[[str, str], bool] | None = None,
    ) -> None:
        self._root, self._ui, self.parameters, self.logic = root, ui, parameters, logic
        self._looks_back = False  # at an earlier moment, by a click on its row
        self._observed: tuple[vtk.vtkObject, int] | None = None
        logic.on_change = self._changed
        ask = ask or slicer.util.confirmOkCancelDisplay
        self._server = ServerPanel(ui, logic, ask, self._use_example)
        self._result = ResultPanel(ui, logic)
        self._prompts = History(ui.promptCombo, PROMPTS_KEY, 30)
        self._table = StepsTable(ui.stepsTable, self._go_to_row)
        self.take_over = TakeOver(self._clicked, self._placing_ended, _soon)
        self.training = TrainingPanel(ui, logic, self._server.consent)
        ui.playWidget.setRecordingControlsVisible(False)
        self._bind(parameters)
        self._connect_widgets()
        self._shortcuts = [
            self._shortcut("P", ui.positiveButton.click),
            self._shortcut("N", ui.negativeButton.click),
            self._shortcut("U", ui.undoButton.click),
        ]
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.connect("timeout()", logic.poll)
        self._timer.start()
        logic.restore()
        self.update()

    # Life

    def enter(self) -> None:
        """The user has come to the module."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(True)
        if self.parameters.inputVolume is None:
            self.parameters.inputVolume = views.shown_volume()
        self.update()

    def exit(self) -> None:
        """The user has gone to another module; a run goes on."""
        self._stop_placing()
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)

    def close(self) -> None:
        """Let go of everything; called when the module is unloaded."""
        self._timer.stop()
        self.training.close()
        self._stop_placing()
        self._observe_browser(None)
        self._unbind()
        self.logic.close()

    def scene_closes(self) -> None:
        """The scene is emptied; a run is cancelled and let go of."""
        self._stop_placing()
        self.logic.scene_closed()

    def scene_loaded(self, parameters: Parameters) -> None:
        """Another scene is there, perhaps with a run in it.

        Args:
            parameters: Of that scene.
        """
        self._unbind()
        self.logic.parameters = parameters
        self._bind(parameters)
        if self.logic.run is None:
            self.logic.restore()
        self.update()

    # Setting up

    def _bind(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self._gui_tag = parameters.connectParametersToGui(self._bound_widgets())
        self._tag = parameters.AddObserver(
            vtk.vtkCommand.ModifiedEvent, lambda *event: self.update_fields()
        )

    def _unbind(self) -> None:
        self.parameters.RemoveObserver(self._tag)
        self.parameters.disconnectGui(self._gui_tag)

    def _bound_widgets(self) -> dict[str, qt.QWidget]:
        ui = self._ui
        return {
            "inputVolume": ui.inputSelector,
            "scope": ui.scopeCombo,
            "plane": ui.planeCombo,
            "firstSlice": ui.firstSliceSpin,
            "lastSlice": ui.lastSliceSpin,
            "segmentation": ui.segmentationSelector,
            "startFromSegment": ui.startFromCheck,
            "followAgent": ui.followCheck,
            "agentGoesOn": ui.agentGoesOnCheck,
            "maxSteps": ui.maxStepsSpin,
            "seed": ui.seedSpin,
        }

    def _connect_widgets(self) -> None:
        ui, logic = self._ui, self.logic
        ui.promptCombo.connect("editTextChanged(QString)", self._prompt_typed)
        ui.promptCombo.lineEdit().connect("returnPressed()", self._run)
        ui.runButton.connect("clicked()", self._run)
        ui.cancelButton.connect("clicked()", logic.cancel)
        ui.undoButton.connect("clicked()", lambda: self._try(logic.undo))
        ui.continueButton.connect("clicked()", lambda: self._try(logic.go_on))
        ui.acceptButton.connect("clicked()", self._accept)
        ui.positiveButton.connect("toggled(bool)", lambda on: self._place(True, on))
        ui.negativeButton.connect("toggled(bool)", lambda on: self._place(False, on))
        ui.firstHereButton.connect("clicked()", lambda: self._slice_here("firstSlice"))
        ui.lastHereButton.connect("clicked()", lambda: self._slice_here("lastSlice"))

    def _shortcut(self, key: str, function: Callable[[], None]) -> qt.QShortcut:
        shortcut = qt.QShortcut(qt.QKeySequence(key), slicer.util.mainWindow() or self._root)
        shortcut.connect("activated()", function)
        shortcut.setEnabled(False)
        return shortcut

    # What the user does

    def _run(self) -> None:
        if not self._ui.runButton.enabled:
            return
        self._prompts.add(self.parameters.prompt)
        if self._looks_back:
            self.parameters.followAgent, self._looks_back = True, False
        if self._server.consent():
            self._try(self.logic.start)

    def _place(self, positive: bool, on: bool) -> None:
        other = self._ui.negativeButton if positive else self._ui.positiveButton
        if on:
            if other.checked:
                other.setChecked(False)
            self.take_over.start(positive)
        elif self.take_over.positive is positive:
            self.take_over.stop()

    def _clicked(self, place: Place, positive: bool) -> None:
        if self._server.consent():
            self._try(lambda: self.logic.click(place, positive))

    def _placing_ended(self) -> None:
        self._ui.positiveButton.setChecked(False)
        self._ui.negativeButton.setChecked(False)

    def _stop_placing(self) -> None:
        self.take_over.stop()
        self._placing_ended()

    def _accept(self) -> None:
        self._stop_placing()
        self._try(self.logic.accept)
        self.update()

    def _go_to_row(self, row: int) -> None:
        last = row == self._ui.stepsTable.rowCount - 1
        if self.parameters.followAgent or self._looks_back:
            self.parameters.followAgent, self._looks_back = last, not last
        self._try(lambda: self.logic.show(row))

    def _prompt_typed(self, text: str) -> None:
        if text != self.parameters.prompt:
            self.parameters.prompt = text

    def _use_example(self, text: str) -> None:
        self.parameters.prompt = text

    def _slice_here(self, name: str) -> None:
        def take() -> None:
            grid = world_grid(self.parameters.inputVolume)
            setattr(self.parameters, name, shown_slice(grid, self.parameters.plane.value))

        if self.parameters.inputVolume is not None:
            self._try(take)

    def _try(self, function: Callable[[], object]) -> None:
        """Do it; what goes wrong is said in the status line."""
        try:
            function()
        except ClientError as error:
            self.logic.trouble = error
            self._show_run()

    # What is shown

    def update(self) -> None:
        """Show everything as it is."""
        self._server.update()
        self.update_fields()
        self._show_moments()

    def update_fields(self) -> None:
        """Show what the parameters hold, beyond what is bound."""
        ui, parameters = self._ui, self.parameters
        if ui.promptCombo.currentText != parameters.prompt:
            ui.promptCombo.setEditText(parameters.prompt)
        ui.rangeRow.setVisible(parameters.scope is Scope.RANGE)
        self._result.update()
        self._show_run()

    def _changed(self, what: str) -> None:
        if what == changes.CONNECTION:
            self._server.update()
            self.training.update()
        elif what == changes.MOMENTS:
            self._show_moments()
        elif what == changes.RUN:
            self._show_moments()
            self._result.update()
        self._show_run()

    def _show_run(self) -> None:
        ui, logic, run = self._ui, self.logic, self.logic.run
        busy, connected = logic.busy, logic.connection.info is not None
        ready = bool(self.parameters.prompt.strip()) and self.parameters.inputVolume is not None
        ui.runButton.setEnabled(connected and ready and not busy)
        ui.runButton.setToolTip(_why_not(connected, ready, busy))
        ui.cancelButton.setEnabled(busy)
        reachable = run is not None and bool(run.id) and connected
        ui.undoButton.setEnabled(reachable and run.last_step() is not None)
        ui.continueButton.setEnabled(reachable and not busy)
        ui.positiveButton.setEnabled(connected and ready)
        ui.negativeButton.setEnabled(connected and ready)
        fraction = status.fraction_done(run.story) if run is not None else None
        ui.progressBar.setRange(0, 0 if busy and fraction is None else 100)
        ui.progressBar.setValue(round(100 * fraction) if fraction is not None else 0)
        ui.progressBar.setVisible(busy)
        trouble = logic.trouble
        say(ui.statusLabel, str(trouble) if trouble else self._state(), TROUBLE if trouble else "")
        say(ui.answerLabel, self._answer())

    def _state(self) -> str:
        run = self.logic.run
        if run is None:
            return ""
        if run.busy:
            return run.status()
        finished = run.story.finished
        word = _("Cancelled") if finished is not None and finished.cancelled else _("Finished")
        if run.accepted is not None:
            word = _("Accepted")
        return _("{word} after {time}").format(word=word, time=status.duration(run.elapsed))

    def _answer(self) -> str:
        run = self.logic.run
        if run is None or run.busy or run.story.finished is None:
            return ""
        answer = f"<b>{escaped(run.story.finished.answer)}</b>"
        if run.story.finished.found:
            return answer
        return answer + " " + _("Nothing was marked; no segment was made.")

    def _show_moments(self) -> None:
        run = self.logic.run
        self._table.update(run.story if run is not None else None, self.parameters.followAgent)
        browser = run.display.timeline.browser if run is not None else None
        if (self._observed[0] if self._observed else None) is not browser:
            self._observe_browser(browser)

    def _observe_browser(self, browser: vtk.vtkObject | None) -> None:
        """Follow the stock browser, whose slider and keys go to moments as well."""
        if self._observed is not None:
            node, tag = self._observed
            node.RemoveObserver(tag)
        self._observed = None
        if browser is not None:
            tag = browser.AddObserver(vtk.vtkCommand.ModifiedEvent, self._replayed)
            self._observed = (browser, tag)
        self._ui.playWidget.setMRMLSequenceBrowserNode(browser)
        self._ui.seekWidget.setMRMLSequenceBrowserNode(browser)

    def _replayed(self, caller: vtk.vtkObject, event: str) -> None:
        run = self.logic.run
        if run is not None and caller is run.display.timeline.browser:
            self._table.select(run.display.timeline.selected)
            run.moment_selected()


def _why_not(connected: bool, ready: bool, busy: bool) -> str:
    if not connected:
        return _("Connect to a server first.")
    if not ready:
        return _("Choose a volume and say what to find.")
    return _("A run is going on.") if busy else _("Set the agent to work.")


def _soon(function: Callable[[], None]) -> None:
    qt.QTimer.singleShot(0, function)
