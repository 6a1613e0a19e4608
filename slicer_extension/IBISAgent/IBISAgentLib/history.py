"""What was typed before, kept in Slicer's settings on this computer."""

from __future__ import annotations

import qt


class History:
    """The last entries of an editable combo box.

    Args:
        combo: The box.
        key: Of the setting.
        most: So many are kept.
        first: Entry of a box that has none.
    """

    def __init__(self, combo: qt.QComboBox, key: str, most: int, first: str = "") -> None:
        self._combo, self._key, self._most = combo, key, most
        entries = self._load() or ([first] if first else [])
        combo.addItems(entries)
        combo.setEditText(entries[0] if entries and first else "")

    def add(self, text: str) -> None:
        """Put an entry on top."""
        text = text.strip()
        if not text:
            return
        entries = [text, *(entry for entry in self._load() if entry != text)][: self._most]
        qt.QSettings().setValue(self._key, entries)
        blocked = self._combo.blockSignals(True)
        self._combo.clear()
        self._combo.addItems(entries)
        self._combo.setEditText(text)
        self._combo.blockSignals(blocked)

    def _load(self) -> list[str]:
        value = qt.QSettings().value(self._key)
        if not value:
            return []
        entries = [value] if isinstance(value, str) else list(value)
        return [str(entry) for entry in entries][: self._most]
