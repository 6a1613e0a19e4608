"""The commands put together, and the entry point."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ibisagent import __version__
from ibisagent.cli.console import log_to_notes, say, show_error
from ibisagent.cli.doctor import doctor
from ibisagent.cli.evaluate import evaluate
from ibisagent.cli.segment import segment
from ibisagent.cli.serve import serve
from ibisagent.cli.show import show
from ibisagent.errors import IBISAgentError

USER_ERROR = 2
"""Exit code of failures that the user can mend; the same as for a wrong option."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,  # its frames would show parts of patients' images
    add_completion=False,
)


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell what goes on.")] = False,
) -> None:
    """Segment medical images with an agent that looks, thinks aloud and clicks.

    Type what you want segmented; the agent clicks, looks at the mask that a segmentation tool
    makes of its clicks, corrects it, and stops when it is satisfied. Not for clinical use.

    **Start here**

    ```
    ibisagent segment ct.nii.gz --prompt "the left kidney" --out result
    ibisagent show result/trajectory.json --image ct.nii.gz
    ibisagent serve --studies my_images
    ```

    Every command explains itself: ibisagent segment --help
    """
    log_to_notes(verbose)


@app.command()
def version() -> None:
    """Print the version."""
    say(f"ibisagent {__version__}")


app.command()(segment)
app.command()(show)
app.command()(evaluate)
app.command()(doctor)
app.command(context_settings={"allow_extra_args": True})(serve)


def main() -> None:
    """Run the command line. Failures of ours are one line on stderr and exit code 2."""
    try:
        app(prog_name="ibisagent")
    except IBISAgentError as error:
        show_error(error)
        sys.exit(USER_ERROR)
