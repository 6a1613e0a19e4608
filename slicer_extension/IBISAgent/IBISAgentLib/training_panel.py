"""The panel's part on learning: labels out, next study in, training on and off, what came of it."""

from __future__ import annotations

import types
from collections.abc import Callable

import qt
from slicer.i18n import tr as _

from . import charts
from .errors import ClientError
from .logic import Logic
from .status import duration
from .training import BEGIN, END, NEXT, STRATEGIES, SUBMIT, TRAINERS, Report, Training

ASK_SECONDS = 3.0

_TRAINERS = {
    "ibisagent": _("SFT, then RL"),
    "ibisagent_sft": _("SFT only"),
    "ibisagent_rl": _("RL only"),
}
_STRATEGIES = {"ibisagent_uncertainty": _("least certain"), "random": _("random")}


class TrainingPanel:
    """Binds the training section to `Training`.

    Args:
        ui: The panel's widgets by name.
        logic: Of the module.
        consent: Whether images may be sent to the server; may ask the user.
    """

    def __init__(
        self, ui: types.SimpleNamespace, logic: Logic, consent: Callable[[], bool]
    ) -> None:
        self._ui, self._logic, self._consent = ui, logic, consent
        self.training = Training(logic, self.update)
        for name in TRAINERS:
            ui.trainerCombo.addItem(_TRAINERS[name])
        for name in STRATEGIES:
            ui.strategyCombo.addItem(_STRATEGIES[name])
        ui.submitButton.connect("clicked()", self._submit)
        ui.nextStudyButton.connect("clicked()", self._next)
        ui.startTrainingButton.connect("clicked()", self._start)
        ui.stopTrainingButton.connect("clicked()", self._stop)
        ui.rollBackButton.connect("clicked()", self._roll_back)
        ui.trainingSection.connect("contentsCollapsed(bool)", self._folded)
        self._timer = qt.QTimer()
        self._timer.setInterval(int(1000 * ASK_SECONDS))
        self._timer.connect("timeout()", self.training.ask)
        self.update()

    def close(self) -> None:
        """Ask no more."""
        self._timer.stop()

    def update(self) -> None:
        """Show what is known."""
        training, ui = self.training, self._ui
        report = training.report or Report()
        connected = self._logic.connection.info is not None
        ui.submitButton.setEnabled(connected and SUBMIT not in training.busy)
        ui.nextStudyButton.setEnabled(connected and NEXT not in training.busy)
        startable = connected and not report.running and BEGIN not in training.busy
        ui.startTrainingButton.setEnabled(startable)
        ui.stopTrainingButton.setEnabled(report.running and END not in training.busy)
        ui.rollBackButton.setEnabled(bool(report.version) and not report.running)
        ui.modelLabel.setText(self._model(report) if training.report else "")
        ui.trainingBar.setValue(round(report.percent))
        ui.trainingBar.setVisible(report.running)
        ui.trainingStatusLabel.setText(self._words(report))
        ui.trainingStatusLabel.setVisible(bool(ui.trainingStatusLabel.text))
        colour = ui.trainingStatusLabel.palette.color(qt.QPalette.WindowText)
        _show(ui.curveLabel, charts.curve(report.curve, colour))
        pictures = charts.comparison(report.before or {}, report.after or {}, colour)
        _show(ui.comparisonLabel, pictures)

    def _model(self, report: Report) -> str:
        name = report.version or report.policy or _("the server's own")
        text = _("Model in use: <b>{name}</b>").format(name=name)
        if report.needed:
            text += " \N{MIDDLE DOT} " + _(
                "final labels: {count}, at least {needed} needed"
            ).format(count=report.final, needed=report.needed)
        return text

    def _words(self, report: Report) -> str:
        if self.training.trouble is not None:
            return str(self.training.trouble)
        if report.running:
            text = _("Training: {stage}, {percent:.0f} %").format(
                stage=report.stage or _("starting"), percent=report.percent
            )
            if report.seconds_left is not None:
                text += ", " + _("about {time} left").format(time=duration(report.seconds_left))
            return text
        return " ".join(part for part in (self.training.message, report.reason) if part)

    def _submit(self) -> None:
        run, parameters = self._logic.run, self._logic.parameters
        volume = run.volume if run is not None else parameters.inputVolume
        segment = parameters.segmentId
        if not segment and run is not None and run.accepted is not None:
            segment = run.accepted[1]
        if self._consent():
            self._try(lambda: self.training.submit(volume, parameters.segmentation, segment))

    def _next(self) -> None:
        self._try(lambda: self.training.next_study(STRATEGIES[self._ui.strategyCombo.currentIndex]))

    def _start(self) -> None:
        self._try(lambda: self.training.start(TRAINERS[self._ui.trainerCombo.currentIndex]))

    def _stop(self) -> None:
        self._try(self.training.stop)

    def _roll_back(self) -> None:
        self._try(self.training.roll_back)

    def _try(self, function: Callable[[], None]) -> None:
        try:
            function()
        except ClientError as error:
            self.training.trouble = error
        self.update()

    def _folded(self, collapsed: bool) -> None:
        """Ask only while somebody looks."""
        if collapsed:
            self._timer.stop()
        else:
            self.training.ask()
            self._timer.start()


def _show(label: qt.QLabel, picture: qt.QPixmap | None) -> None:
    label.setVisible(picture is not None)
    if picture is not None:
        label.setPixmap(picture)
