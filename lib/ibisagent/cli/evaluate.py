"""``ibisagent evaluate``: how well an agent does on labelled data."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ibisagent.cli.console import output, progress, say, warn
from ibisagent.cli.loading import load
from ibisagent.cli.options import Device, OutFolder, Policy, Profile, Prompts, Tool

if TYPE_CHECKING:  # these load slowly, and `--help` must not
    from ibisagent.evaluation import EvaluationSettings
    from ibisagent.evaluation_report import Report
    from ibisagent.manifest import Manifest

COLUMNS = {
    "set": "set",
    "n": "n",
    "first click hits": "hit",
    "Dice": "Dice",
    "IoU": "IoU",
    "F1": "F1",
    "turns": "turns",
    "absent recognised": "absent",
}
"""Heading in the files -> on the terminal, which may be 80 letters wide."""


def evaluate(
    manifests: Annotated[
        list[Path],
        typer.Argument(help="Manifests of labelled sets, or their folders.", show_default=False),
    ],
    out: OutFolder,
    held_back: Annotated[
        bool,
        typer.Option(
            "--held-back/--all", help="Only subjects that training never sees, or all of them."
        ),
    ] = True,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most questions a set, drawn by the seed.")
    ] = None,
    plane: Annotated[
        str, typer.Option(help="In which volumes are cut: axial, coronal or sagittal.")
    ] = "axial",
    slices: Annotated[int, typer.Option(min=1, help="Slices a label of a volume.")] = 3,
    absent: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of questions followed by one for an absent label."),
    ] = 0.25,
    max_steps: Annotated[
        int, typer.Option(min=1, max=50, help="Most clicks and other actions on a slice.")
    ] = 10,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    policy: Policy = "embedded",
    tool: Tool = "embedded",
    device: Device = "auto",
    prompts: Prompts = "",
    profile: Profile = "",
) -> None:
    """Ask the agent for every label of labelled sets, and measure what it does.

    Measured are: whether the first click hits, Dice after the first and after the last click,
    IoU, F1 at an IoU of .5, turns, seconds, whether the agent stops by itself, and whether it
    sees that something is absent. Means are over labels.

    A run that was broken off continues when the same command is given again.

    **Examples**

    ```
    ibisagent evaluate data/ct_spleen_msd data/mr_spine_spider --out evaluation
    ibisagent evaluate data/*/manifest.json --limit 20 --out quick
    ibisagent evaluate my_set --all --policy OWNER/MODEL --out big
    ```

    **Results** in the folder --out: results.json (means and every question), table.md,
    and the episodes in trajectories/ for ibisagent show.
    """
    from ibisagent.evaluation import EvaluationSettings
    from ibisagent.evaluation import evaluate as run
    from ibisagent.evaluation_report import write_report
    from ibisagent.machine import machine_facts
    from ibisagent.manifest import load_manifest
    from ibisagent.slices import Plane

    settings = EvaluationSettings(
        held_back=held_back,
        plane=Plane.parse(plane),
        slices=slices,
        absent=absent,
        limit=limit,
        seed=seed,
        max_steps=max_steps,
    )
    sets = [load_manifest(path) for path in manifests]
    agent = load(policy, tool, device, prompts, profile)
    with progress() as bar:
        task = bar.add_task("Evaluating", total=None)
        try:
            folder, rows = run(
                sets, settings, agent, out, lambda n, m: bar.update(task, completed=n, total=m)
            )
        except KeyboardInterrupt:
            warn(f"stopped; what is finished stands in {out}. The same command continues.")
            raise
    report = write_report(folder, rows, _command(sets, settings), machine_facts())
    _tell(report, out)


def _command(sets: list[Manifest], settings: EvaluationSettings) -> str:
    """The command without the paths of this machine; identities stand in the settings."""
    words = ["ibisagent", "evaluate", *(f"{each.name}/manifest.json" for each in sets)]
    words.append("--held-back" if settings.held_back else "--all")
    for name in ("limit", "plane", "slices", "absent", "max_steps", "seed"):
        value = settings.model_dump(mode="json")[name]
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _tell(report: Report, out: Path) -> None:
    """The means of the sets on the terminal; labels are in the files."""
    from ibisagent.evaluation_report import HEADINGS, table

    columns = [HEADINGS.index(name) for name in COLUMNS]
    shown = Table(*COLUMNS.values())
    for row in table(report, labels=False):
        cells = [row[column] for column in columns]
        shown.add_row(*map(Text, cells), style="bold" if row[0] == "all" else None)
    output.print(shown)
    if report.not_asked:
        say(f"not asked, since the model has not learnt it: {', '.join(report.not_asked)}")
    say(f"written to {out}: results.json, table.md (with labels), trajectories/")
