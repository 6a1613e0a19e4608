"""The commands, and how they fail."""

from __future__ import annotations

import logging
import sys

import typer
from rich.logging import RichHandler

from ibisagent.errors import IBISAgentError
from ibistrain.cli import embedded, learning, releasing
from ibistrain.cli.console import console

app = typer.Typer(
    no_args_is_help=True,
    help="Train policies: simulate trajectories, fine-tune, publish.",
    pretty_exceptions_enable=False,
)
for command in (
    embedded.pack,
    embedded.init,
    learning.simulate,
    embedded.embedded,
    embedded.tool,
    learning.sft,
    learning.rl,
    embedded.average,
    releasing.publish,
    releasing.compare,
    releasing.release,
    releasing.rollback,
):
    app.command()(command)
app.command("export-published")(learning.export_published)
app.command("compare-tools")(embedded.compare_tools)


def main() -> None:
    """Entry point: errors of ours are one line and exit code 2."""
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=console)]
    )
    try:
        app()
    except IBISAgentError as error:
        console.print(f"error: {error}", style="bold red", highlight=False)
        sys.exit(2)
