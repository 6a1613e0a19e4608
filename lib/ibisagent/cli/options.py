"""Options that several commands share: who the agent is, and where results go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AGENT = "The agent"

Policy = Annotated[
    str,
    typer.Option(
        help="Who looks and thinks: 'embedded', a checkpoint folder, a hub name OWNER/MODEL, or "
        "'endpoint:URL#MODEL' for a model that is served; '?max_pixels=N&four_bit=true' may "
        "follow.",
        rich_help_panel=AGENT,
    ),
]
Tool = Annotated[
    str,
    typer.Option(
        help="What makes masks of clicks: 'embedded', 'litemedsam:FILE', 'sam:vit_b:FILE', "
        "'medsam:FILE', 'sam2:FOLDER', 'sam2:OWNER/MODEL' or 'medsam2:FILE.pt'.",
        rich_help_panel=AGENT,
    ),
]
Device = Annotated[
    str, typer.Option(help="'auto', 'cpu', 'cuda' or 'cuda:N'.", rich_help_panel=AGENT)
]
Prompts = Annotated[
    str,
    typer.Option(
        help="Prompt profile: a name or a YAML file; by default the checkpoint's own.",
        rich_help_panel=AGENT,
        show_default=False,
    ),
]


def _use_profile(context: typer.Context, name: str) -> str:
    """Let a machine profile give the defaults of the command, so that explicit options win."""
    if name:
        from ibisagent.machine_profile import load_machine_profile  # loads slowly

        settings = load_machine_profile(name).settings()
        context.default_map = {**(context.default_map or {}), **settings}
    return name


Profile = Annotated[
    str,
    typer.Option(
        help="Machine profile that sets policy, tool, device, max-steps and prompts where they "
        "are not given: laptop, workstation, server, or a YAML file.",
        rich_help_panel=AGENT,
        show_default=False,
        callback=_use_profile,
        is_eager=True,
    ),
]
MaxSteps = Annotated[int, typer.Option(help="Most clicks and other actions on a slice.")]
Force = Annotated[bool, typer.Option("--force", help="Write over results that are there.")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder for the results.")]
