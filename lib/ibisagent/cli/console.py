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
    """Print a failure on one line; names in it may hold anything, so it is no markup."""
    line = " ".join(f"error: {error}".split())
    notes.print(Text(line, style="bold red"), soft_wrap=True)


def warn(sentence: str) -> None:
    """Print a warning on one line."""
    notes.print(Text(f"warning: {sentence}", style="yellow"), soft_wrap=True)


def say(line: str) -> None:
    """Print a line of the result."""
    output.print(Text(line), soft_wrap=True)


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
