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
from .address import is_local
from .errors import ClientError
from .history import History
from .logic import Logic
from .parameter import Parameters, Scope
from .request import Place, shown_slice
from .steps_table import StepsTable
from .take_over import TakeOver
from .training_panel import TrainingPanel
from .upload import world_grid

FIRST_SERVER = "http://127.0.0.1:8000"
SERVERS_KEY, PROMPTS_KEY = "IBISAgent/servers", "IBISAgent/prompts"
POLL_MILLISECONDS = 100
_TROUBLE, _FINE = "#c02a1e", "#1b7a2b"


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
        self._ask = ask or slicer.util.confirmOkCancelDisplay
        self._segments: list[str] = []
        self._observed: tuple[vtk.vtkObject, list[int]] | None = None
        logic.on_change = self._changed
        self._servers = History(ui.serverCombo, SERVERS_KEY, 10, FIRST_SERVER)
        self._prompts = History(ui.promptCombo, PROMPTS_KEY, 30)
        self._table = StepsTable(ui.stepsTable, self._go_to_row)
        self.take_over = TakeOver(self._clicked, self._placing_ended, _soon)
        self._training = TrainingPanel(ui, logic)
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
        self._training.close()
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
            "followAgent": ui.followCheck,
            "agentGoesOn": ui.agentGoesOnCheck,
            "maxSteps": ui.maxStepsSpin,
            "seed": ui.seedSpin,
        }

    def _connect_widgets(self) -> None:
        ui, logic = self._ui, self.logic
        ui.connectButton.connect("clicked()", self._connect)
        ui.promptCombo.connect("editTextChanged(QString)", self._prompt_typed)
        ui.promptCombo.lineEdit().connect("returnPressed()", self._run)
        ui.serverCombo.lineEdit().connect("returnPressed()", self._connect)
        ui.runButton.connect("clicked()", self._run)
        ui.cancelButton.connect("clicked()", logic.cancel)
        ui.undoButton.connect("clicked()", lambda: self._try(logic.undo))
        ui.continueButton.connect("clicked()", lambda: self._try(logic.go_on))
        ui.acceptButton.connect("clicked()", self._accept)
        ui.positiveButton.connect("toggled(bool)", lambda on: self._place(True, on))
        ui.negativeButton.connect("toggled(bool)", lambda on: self._place(False, on))
        ui.segmentCombo.connect("activated(int)", self._segment_chosen)
        ui.firstHereButton.connect("clicked()", lambda: self._slice_here("firstSlice"))
        ui.lastHereButton.connect("clicked()", lambda: self._slice_here("lastSlice"))

    def _shortcut(self, key: str, function: Callable[[], None]) -> qt.QShortcut:
        shortcut = qt.QShortcut(qt.QKeySequence(key), slicer.util.mainWindow() or self._root)
        shortcut.connect("activated()", function)
        shortcut.setEnabled(False)
        return shortcut

    # What the user does

    def _connect(self) -> None:
        self.logic.connect(self._ui.serverCombo.currentText, self._ui.tokenEdit.text)

    def _run(self) -> None:
        if not self._ui.runButton.enabled:
            return
        self._prompts.add(self.parameters.prompt)
        if self._consent():
            self._try(self.logic.start)

    def _consent(self) -> bool:
        """Whether images may be sent; asks once for each server that is not this computer."""
        connection = self.logic.connection
        if connection.consent_needed():
            text = _(
                "The server {url} is not on this computer.\n\nThe selected volume will be sent "
                "there: its voxels and its geometry, no name and no other patient data. Also "
                "sent are your prompt and your clicks.\n\nMay images be sent to this server until "
                "Slicer is closed?"
            ).format(url=connection.url)
            if not self._ask(text, _("Send images to another computer?")):
                return False
            connection.agree()
        return True

    def _place(self, positive: bool, on: bool) -> None:
        other = self._ui.negativeButton if positive else self._ui.positiveButton
        if on:
            if other.checked:
                other.setChecked(False)
            self.take_over.start(positive)
        elif self.take_over.positive is positive:
            self.take_over.stop()

    def _clicked(self, place: Place, positive: bool) -> None:
        if self._consent():
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
        self.parameters.followAgent = row == self._ui.stepsTable.rowCount - 1
        self._try(lambda: self.logic.show(row))

    def _prompt_typed(self, text: str) -> None:
        if text != self.parameters.prompt:
            self.parameters.prompt = text

    def _segment_chosen(self, index: int) -> None:
        self.parameters.segmentId = self._segments[index] if index > 0 else ""

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
        self._show_connection()
        self.update_fields()
        self._show_moments()

    def _changed(self, what: str) -> None:
        if what == changes.CONNECTION:
            self._show_connection()
            self._training.update()
        elif what == changes.MOMENTS:
            self._show_moments()
        if what == changes.RUN:
            self._show_moments()
            self._show_segments()
        self._show_run()

    def update_fields(self) -> None:
        """Show what the parameters hold, beyond what is bound."""
        ui, parameters = self._ui, self.parameters
        if ui.promptCombo.currentText != parameters.prompt:
            ui.promptCombo.setEditText(parameters.prompt)
        ui.rangeRow.setVisible(parameters.scope is Scope.RANGE)
        self._show_segments()
        self._show_run()

    def _show_connection(self) -> None:
        ui, connection = self._ui, self.logic.connection
        info = connection.info
        ui.connectButton.setEnabled(not connection.waiting)
        text, colour = "", ""
        if connection.waiting:
            text = _("Asking the server\N{HORIZONTAL ELLIPSIS}")
        elif connection.trouble is not None:
            text, colour = str(connection.trouble), _TROUBLE
        elif info is not None:
            self._servers.add(connection.url)
            place = _("on this computer") if is_local(connection.url) else _("elsewhere")
            text = _("Connected: IBISAgent {version}, {place}").format(
                version=info.version, place=place
            )
            colour = _FINE
        _say(ui.serverStatusLabel, text, colour)
        ui.policyLabel.setText(info.policy if info else "")
        ui.toolLabel.setText(info.tool if info else "")
        self._show_examples(info.examples if info else ())
        self._show_run()

    def _show_examples(self, examples: tuple[str, ...]) -> None:
        button = self._ui.examplesButton
        menu = qt.QMenu(button)
        for text in examples:
            action = menu.addAction(text)
            action.connect("triggered()", lambda text=text: self._use_example(text))
        button.setMenu(menu)
        button.setEnabled(bool(examples))

    def _use_example(self, text: str) -> None:
        self.parameters.prompt = text

    def _show_run(self) -> None:
        ui, logic, run = self._ui, self.logic, self.logic.run
        busy, connected = logic.busy, logic.connection.info is not None
        ready = bool(self.parameters.prompt.strip()) and self.parameters.inputVolume is not None
        ui.runButton.setEnabled(connected and ready and not busy)
        ui.runButton.setToolTip(self._why_not(connected, ready, busy))
        ui.cancelButton.setEnabled(busy)
        reachable = run is not None and bool(run.id) and connected
        ui.undoButton.setEnabled(reachable and run.last_step() is not None)
        ui.continueButton.setEnabled(reachable and not busy)
        ui.positiveButton.setEnabled(connected and ready)
        ui.negativeButton.setEnabled(connected and ready)
        ui.acceptButton.setEnabled(run is not None and not busy and run.found)
        fraction = status.fraction_done(run.story) if run is not None else None
        ui.progressBar.setRange(0, 0 if busy and fraction is None else 100)
        ui.progressBar.setValue(round(100 * fraction) if fraction is not None else 0)
        ui.progressBar.setVisible(busy)
        trouble = logic.trouble
        _say(ui.statusLabel, str(trouble) if trouble else self._state(), trouble and _TROUBLE)
        _say(ui.answerLabel, self._answer())

    def _why_not(self, connected: bool, ready: bool, busy: bool) -> str:
        if not connected:
            return _("Connect to a server first.")
        if not ready:
            return _("Choose a volume and say what to find.")
        return _("A run is going on.") if busy else _("Set the agent to work.")

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
        if run is None or run.story.finished is None:
            return ""
        answer = run.story.finished.answer
        if not run.story.finished.found and not run.busy:
            absent = _("Nothing was marked; no segment was made.")
            return f"<b>{_escaped(answer)}</b> {absent}"
        return f"<b>{_escaped(answer)}</b>"

    def _show_moments(self) -> None:
        run = self.logic.run
        story = run.story if run is not None else None
        self._table.update(story, self.parameters.followAgent)
        browser = run.display.timeline.browser if run is not None else None
        if (self._observed[0] if self._observed else None) is not browser:
            self._observe_browser(browser)

    def _observe_browser(self, browser: vtk.vtkObject | None) -> None:
        """Follow the stock browser, whose slider and keys go to moments as well."""
        if self._observed is not None:
            node, tags = self._observed
            for tag in tags:
                node.RemoveObserver(tag)
        self._observed = None
        if browser is not None:
            tag = browser.AddObserver(vtk.vtkCommand.ModifiedEvent, self._replayed)
            self._observed = (browser, [tag])
        self._ui.playWidget.setMRMLSequenceBrowserNode(browser)
        self._ui.seekWidget.setMRMLSequenceBrowserNode(browser)

    def _replayed(self, caller: vtk.vtkObject, event: str) -> None:
        run = self.logic.run
        if run is not None and caller is run.display.timeline.browser:
            self._table.select(run.display.timeline.selected)
            run.moment_selected()

    def _show_segments(self) -> None:
        combo, parameters = self._ui.segmentCombo, self.parameters
        node = parameters.segmentation
        parts = node.GetSegmentation() if node is not None else None
        self._segments = ["", *(parts.GetSegmentIDs() if parts is not None else ())]
        name = " ".join(self.logic.prompt.split())
        titles = [_("New segment: {name}").format(name=name) if name else _("New segment")]
        titles += [parts.GetSegment(segment).GetName() for segment in self._segments[1:]]
        combo.clear()
        combo.addItems(titles)
        known = parameters.segmentId in self._segments
        combo.setCurrentIndex(self._segments.index(parameters.segmentId) if known else 0)


def _say(label: qt.QLabel, text: str, colour: str | None = "") -> None:
    if label.text != text:
        label.setText(text)
    label.setStyleSheet(f"color: {colour}" if colour else "")
    label.setVisible(bool(text))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _soon(function: Callable[[], None]) -> None:
    qt.QTimer.singleShot(0, function)
