"""The two stages for policies of any size: simulated episodes, and experience."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from ibistrain.cli.console import console
from ibistrain.cli.options import CONFIGS, Changes, Data, Out, Settings


def simulate(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the shards; an earlier run is continued.")],
    settings: Annotated[
        Path, typer.Option(help="YAML file.", show_default="that of the package")
    ] = CONFIGS / "simulate.yaml",
    episodes: Annotated[int | None, typer.Option(help="Most episodes.")] = None,
    changes: Changes = None,
) -> None:
    """Play episodes with a scripted annotator, to learn from; a broken-off run is continued."""
    from ibistrain.run_config import read_changes, read_config
    from ibistrain.simulation.run import simulate as play
    from ibistrain.simulation.settings import SimulationSettings

    given = read_changes(changes or [])
    if episodes is not None:
        given["episodes"] = episodes
    chosen = read_config(SimulationSettings, settings, given)
    with Progress(console=console, transient=True) as bar:
        row = bar.add_task("Simulating", total=None)
        report = play(
            data, out, chosen, on_progress=lambda n, m: bar.update(row, completed=n, total=m)
        )
    console.print(report.model_dump_json(indent=1))


def sft(settings: Settings, changes: Changes = None) -> None:
    """Fine-tune a policy on simulated episodes; a run that was broken off is continued."""
    from ibistrain.run_config import read_changes, read_config
    from ibistrain.sft_config import SftConfig

    config = read_config(SftConfig, settings, read_changes(changes or []))
    from ibistrain.sft import sft as train  # after the settings: TRL loads slowly

    console.print(f"policy: {train(config)}")


def rl(settings: Settings, changes: Changes = None) -> None:
    """Train a policy by its own experience (GRPO); a broken-off run is continued."""
    from ibistrain.rl_config import RlConfig
    from ibistrain.run_config import read_changes, read_config

    config = read_config(RlConfig, settings, read_changes(changes or []))
    from ibistrain.rl import rl as train  # after the settings: TRL loads slowly

    console.print(f"policy: {train(config)}")


def export_published(
    episodes: Annotated[Path, typer.Argument(help="Simulated episodes.")],
    data: Data,
    out: Out,
    profile: Annotated[str, typer.Option(help="Prompt profile, by name or file.")] = "published",
    split: Annotated[str, typer.Option(help="Name of the files.")] = "train",
) -> None:
    """Write episodes as the reference's trajectory JSON and as parquet for verl."""
    from ibisagent.prompts import load_profile
    from ibistrain.episode_record import read_episodes
    from ibistrain.published_forms import write_published

    rows = write_published(read_episodes(episodes), data, out, load_profile(profile), split)
    console.print(f"{rows} turns in {split}_rl.parquet")
