"""The panel's part on the result: which segment, and accepting into it."""

from __future__ import annotations

import types

from slicer.i18n import tr as _

from .logic import Logic


class ResultPanel:
    """Binds segment and Accept.

    Args:
        ui: The panel's widgets by name.
        logic: Of the module.
    """

    def __init__(self, ui: types.SimpleNamespace, logic: Logic) -> None:
        self._ui, self._logic = ui, logic
        self._segments: list[str] = []
        ui.segmentCombo.connect("activated(int)", self._chosen)

    def update(self) -> None:
        """Show the segments there are, and whether there is something to accept."""
        ui, run = self._ui, self._logic.run
        self._list_segments()
        ui.startFromCheck.setEnabled(ui.segmentCombo.currentIndex > 0)
        acceptable = run is not None and not run.busy and run.found
        ui.acceptButton.setEnabled(acceptable)
        tip = _("Write the mask into the segment.")
        ui.acceptButton.setToolTip(tip if acceptable else _("There is no mask to accept yet."))

    def _list_segments(self) -> None:
        combo, parameters = self._ui.segmentCombo, self._logic.parameters
        node = parameters.segmentation
        parts = node.GetSegmentation() if node is not None else None
        segments = ["", *(parts.GetSegmentIDs() if parts is not None else ())]
        name = " ".join(self._logic.prompt.split())
        titles = [_("New segment: {name}").format(name=name) if name else _("New segment")]
        titles += [parts.GetSegment(segment).GetName() for segment in segments[1:]]
        if segments != self._segments or titles != self._shown():
            self._segments = segments
            combo.clear()
            combo.addItems(titles)
        known = parameters.segmentId in segments
        combo.setCurrentIndex(segments.index(parameters.segmentId) if known else 0)

    def _shown(self) -> list[str]:
        combo = self._ui.segmentCombo
        return [combo.itemText(number) for number in range(combo.count)]

    def _chosen(self, index: int) -> None:
        self._logic.parameters.segmentId = self._segments[index] if index > 0 else ""
