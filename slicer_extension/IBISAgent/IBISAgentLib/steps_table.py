"""The table of steps: what the agent, or a person, did and why, a row a moment."""

from __future__ import annotations

from collections.abc import Callable

import qt
from slicer.i18n import tr as _

from .story import MALFORMED, NEGATIVE, POSITIVE, SETTLED, TERMINATE, UNDONE, Moment, Story

COLUMNS = ("#", _("Slice"), _("Thought"), _("Action"), _("Score"), _("By"))
_THOUGHT = 2

_ACTIONS = {
    POSITIVE: (_("belongs"), "#1b7a2b"),
    NEGATIVE: (_("does not"), "#c02a1e"),
    TERMINATE: (_("done"), ""),
    MALFORMED: (_("unclear"), "#9a6b00"),
    UNDONE: (_("taken back"), "#7a7a7a"),
    SETTLED: (_("settled"), ""),
}
_AUTHORS = {"agent": _("agent"), "human": _("you")}
_OWN_WORDS = {
    ("human", POSITIVE): _("Your click: this belongs to it."),
    ("human", NEGATIVE): _("Your click: this does not belong to it."),
}


class StepsTable:
    """Shows a story in a table widget; rows are moments.

    Args:
        table: An empty table widget.
        on_row: Told the number of a moment that the user goes to.
    """

    def __init__(self, table: qt.QTableWidget, on_row: Callable[[int], None]) -> None:
        self._table, self._on_row = table, on_row
        self._story: Story | None = None
        self._filling = False
        self._struck: set[int] = set()
        self._set_up()
        table.connect("currentCellChanged(int,int,int,int)", self._go_to)
        table.connect("cellClicked(int,int)", self._go_to)

    def update(self, story: Story | None, follow: bool) -> None:
        """Add the rows that are missing, and strike out those that were taken back.

        Args:
            story: Of the run; None empties the table.
            follow: Go to the last row.
        """
        self._filling = True
        try:
            if story is not self._story:
                self._story, self._struck = story, set()
                self._table.setRowCount(0)
            for moment in story.moments[self._table.rowCount :] if story else []:
                self._append(moment)
            for row in story.taken_back() - self._struck if story else set():
                self._strike_out(row)
            if follow and self._table.rowCount:
                self.select(self._table.rowCount - 1)
        finally:
            self._filling = False

    def select(self, row: int) -> None:
        """Mark a row, without telling `on_row`."""
        before, self._filling = self._filling, True
        if 0 <= row < self._table.rowCount and self._table.currentRow() != row:
            self._table.setCurrentCell(row, _THOUGHT)
            self._table.scrollToItem(self._table.item(row, 0))
        self._filling = before

    def _set_up(self) -> None:
        table = self._table
        table.setColumnCount(len(COLUMNS))
        table.setHorizontalHeaderLabels(list(COLUMNS))
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        table.setVerticalScrollMode(qt.QAbstractItemView.ScrollPerPixel)
        table.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        table.setAlternatingRowColors(True)
        table.setShowGrid(False)
        table.setWordWrap(True)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(_THOUGHT, qt.QHeaderView.Stretch)
        header.setHighlightSections(False)

    def _append(self, moment: Moment) -> None:
        row = self._table.rowCount
        self._table.insertRow(row)
        action, colour = _ACTIONS.get(moment.kind, (moment.kind, ""))
        score = "" if moment.score is None else f"{moment.score:.2f}"
        author = _AUTHORS.get(moment.author, moment.author)
        thought = moment.thought or _OWN_WORDS.get((moment.author, moment.kind), "")
        cells = (str(row + 1), str(moment.index), thought, action, score, author)
        for column, text in enumerate(cells):
            item = qt.QTableWidgetItem(text)
            centre = column != _THOUGHT
            side = qt.Qt.AlignHCenter if centre else qt.Qt.AlignLeft
            item.setData(qt.Qt.TextAlignmentRole, int(side | qt.Qt.AlignTop))
            if column == _THOUGHT:
                item.setToolTip(text)
            if colour and column == COLUMNS.index(_("Action")):
                item.setForeground(qt.QBrush(qt.QColor(colour)))
            self._table.setItem(row, column, item)

    def _strike_out(self, row: int) -> None:
        self._struck.add(row)
        for column in range(len(COLUMNS)):
            item = self._table.item(row, column)
            font = item.font()
            font.setStrikeOut(True)
            item.setFont(font)
            item.setForeground(qt.QBrush(qt.QColor("#7a7a7a")))

    def _go_to(self, row: int, column: int = 0, *before: int) -> None:
        if not self._filling and row >= 0:
            self._on_row(row)
