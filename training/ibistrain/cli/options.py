"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CONFIGS = Path(__file__).parents[1] / "configs"

Data = Annotated[Path, typer.Option(help="Folder with one folder a labelled set.")]
Corpus = Annotated[
    Path,
    typer.Option(
        exists=True,
        help="Folder with one folder a labelled set, or a file that `ibistrain pack` wrote.",
    ),
]
Out = Annotated[Path, typer.Option(help="Folder for the result.")]
Seed = Annotated[int, typer.Option(help="Seed; the same seed gives the same result.")]
Minutes = Annotated[
    float | None, typer.Option(min=0.1, help="End the run after that long, as a whole one.")
]
Settings = Annotated[
    Path, typer.Argument(help="YAML file; start from one of training/ibistrain/configs.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="name=value that goes before the file's; may be repeated."),
]
