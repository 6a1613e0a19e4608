"""How the panel's labels say things."""

from __future__ import annotations

import qt

TROUBLE, FINE = "#c02a1e", "#1b7a2b"
"""Colours of text."""


def say(label: qt.QLabel, text: str, colour: str = "") -> None:
    """Show a text; a label without one takes no room."""
    if label.text != text:
        label.setText(text)
    label.setStyleSheet(f"color: {colour}" if colour else "")
    label.setVisible(bool(text))


def escaped(text: str) -> str:
    """A text as it stands, where a label would take it for HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
