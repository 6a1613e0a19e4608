"""Where the command line writes: results to stdout, everything else to stderr."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ibisagent.errors import IBISAgentError

output = Console(highlight=False)
notes = Console(stderr=True, highlight=False)


def show_error(error: IBISAgentError) -> None:
    """Print a failure on one line."""
    _note(f"error: {error}", "bold red")


def warn(sentence: str) -> None:
    """Print a warning on one line."""
    _note(f"warning: {sentence}", "yellow")


def say(line: str) -> None:
    """Print a line of the result."""
    output.print(Text(line), soft_wrap=True)


def _note(sentence: str, style: str) -> None:
    """Names in a sentence may hold anything: line breaks, markup, codes for the terminal."""
    visible = "".join(letter if letter.isprintable() else " " for letter in sentence)
    notes.print(Text(" ".join(visible.split()), style=style), soft_wrap=True)


def progress() -> Progress:
    """A progress bar with the time left; gone when the work is done."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=notes,
        transient=True,
    )


def log_to_notes(verbose: bool) -> None:
    """Show warnings of the library, or everything it logs."""
    handler = RichHandler(console=notes, show_time=False, show_path=False)
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler], force=True)
