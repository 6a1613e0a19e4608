"""The panel's part on the server: its address, whether it answers, and consent."""

from __future__ import annotations

import types
from collections.abc import Callable

import qt
from slicer.i18n import tr as _

from .address import is_local
from .history import History
from .logic import Logic
from .parameter import MAX_STEPS
from .saying import FINE, TROUBLE, say

FIRST_SERVER = "http://127.0.0.1:8000"
SERVERS_KEY = "IBISAgent/servers"


class ServerPanel:
    """Binds the server section.

    Args:
        ui: The panel's widgets by name.
        logic: Of the module.
        ask: Puts a question to the user and returns the answer; the only modal dialog.
        on_example: Told an example that the user takes.
    """

    def __init__(
        self,
        ui: types.SimpleNamespace,
        logic: Logic,
        ask: Callable[[str, str], bool],
        on_example: Callable[[str], None],
    ) -> None:
        self._ui, self._logic, self._ask, self._on_example = ui, logic, ask, on_example
        self._servers = History(ui.serverCombo, SERVERS_KEY, 10, FIRST_SERVER)
        ui.connectButton.connect("clicked()", self.connect)
        ui.serverCombo.lineEdit().connect("returnPressed()", self.connect)

    def connect(self) -> None:
        """Test the connection."""
        self._logic.connect(self._ui.serverCombo.currentText, self._ui.tokenEdit.text)

    def consent(self) -> bool:
        """Whether images may be sent; asks once for each server that is not this computer."""
        connection = self._logic.connection
        if not connection.consent_needed():
            return True
        text = _(
            "The server {url} is not on this computer.\n\nThe selected volume will be sent there: "
            "its voxels and its geometry, no name and no other patient data. Also sent are your "
            "prompt, your clicks, and segments that you submit or start from.\n\nMay images be "
            "sent to this server until Slicer is closed?"
        ).format(url=connection.url)
        if not self._ask(text, _("Send images to another computer?")):
            return False
        connection.agree()
        return True

    def update(self) -> None:
        """Show whether a server answers, and what it says of itself."""
        ui, connection = self._ui, self._logic.connection
        info = connection.info
        ui.connectButton.setEnabled(not connection.waiting)
        text, colour = "", ""
        if connection.waiting:
            text = _("Asking the server\N{HORIZONTAL ELLIPSIS}")
        elif connection.trouble is not None:
            text, colour = str(connection.trouble), TROUBLE
        elif info is not None:
            self._servers.add(connection.url)
            place = _("on this computer") if is_local(connection.url) else _("elsewhere")
            text = _("Connected: IBISAgent {version}, {place}").format(
                version=info.version, place=place
            )
            colour = FINE
        say(ui.serverStatusLabel, text, colour)
        ui.policyLabel.setText(info.policy if info else "")
        ui.toolLabel.setText(info.tool if info else "")
        most = info.limits.get("max_steps") if info else None
        ui.maxStepsSpin.setMaximum(most if isinstance(most, int) and most > 0 else MAX_STEPS)
        self._show_examples(info.examples if info else (), info.knows if info else ())

    def _show_examples(self, examples: tuple[str, ...], knows: tuple[str, ...]) -> None:
        button = self._ui.examplesButton
        menu = qt.QMenu(button)
        self._fill(menu, examples)
        if knows:
            menu.addSeparator()
            self._fill(menu.addMenu(_("All that it knows")), knows)
        button.setMenu(menu)
        button.setEnabled(bool(examples or knows))

    def _fill(self, menu: qt.QMenu, texts: tuple[str, ...]) -> None:
        for text in texts:
            action = menu.addAction(text)
            action.connect("triggered()", lambda text=text: self._on_example(text))
