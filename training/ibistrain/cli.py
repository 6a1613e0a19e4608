"""The command ``ibistrain``: simulate, train, publish."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from ibisagent.errors import IBISAgentError
from ibistrain.catalogue import load_catalogue

app = typer.Typer(
    no_args_is_help=True,
    help="Train policies: simulate trajectories, fine-tune, publish.",
    pretty_exceptions_enable=False,
)
console = Console(stderr=True)

Data = Annotated[Path, typer.Option(help="Folder with one folder a labelled set.")]
Out = Annotated[Path, typer.Option(help="Folder for the result.")]
Seed = Annotated[int, typer.Option(help="Seed; the same seed gives the same result.")]


@app.command()
def init(data: Data, out: Out, seed: Seed = 0) -> None:
    """Write the untrained checkpoint of the embedded policy."""
    from ibistrain.corpus import load_corpus
    from ibistrain.starting_point import write_starting_point

    catalogue = load_catalogue()
    write_starting_point(out, load_corpus(data, catalogue), catalogue, seed=seed)


@app.command()
def simulate(
    data: Data,
    out: Annotated[Path, typer.Option(help="JSON-lines file; an existing one is continued.")],
    episodes: Annotated[int, typer.Option(help="How many episodes the file shall hold.")] = 1000,
    tool: Annotated[str, typer.Option(help="Segmentation tool.")] = "embedded",
    seed: Seed = 0,
) -> None:
    """Play episodes with the scripted annotator on the training side of the data."""
    from ibisagent.tools import load_tool
    from ibistrain.corpus import load_corpus
    from ibistrain.simulate import simulate_episodes

    pictures = load_corpus(data, load_catalogue())
    simulate_episodes(pictures, load_tool(tool), out, episodes, seed)


@app.command()
def embedded(
    data: Data,
    start: Annotated[Path, typer.Option(help="Checkpoint to start from.")],
    out: Out,
    states: Annotated[
        Path | None, typer.Option(help="Simulated episodes; without, first turns only.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 6000,
    batch: Annotated[int, typer.Option(help="Pictures a step.")] = 8,
    learning_rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    seed: Seed = 0,
) -> None:
    """Train the embedded policy; a run that was broken off is continued."""
    from ibisagent.prompts import load_profile
    from ibistrain.corpus import load_corpus
    from ibistrain.embedded import EmbeddedConfig, train_embedded
    from ibistrain.examples import ExampleMaker
    from ibistrain.states import read_trajectories, states_of

    catalogue, profile = load_catalogue(), load_profile(start)
    pictures = load_corpus(data, catalogue)
    by_name = {picture.name: picture for picture in pictures}
    moments = states_of(read_trajectories(states), by_name) if states else []
    weights = {name: entry.weight for name, entry in catalogue.sets.items()}
    config = EmbeddedConfig(steps=steps, batch=batch, learning_rate=learning_rate, seed=seed)
    maker = ExampleMaker(profile, catalogue.synonyms, config.strength)
    train_embedded(start, out, pictures, weights, moments, maker, profile, config)


@app.command()
def publish(
    data: Data,
    checkpoint: Annotated[Path, typer.Option(help="The model/ folder of a run.")],
    results: Annotated[Path, typer.Option(help="results.json of its evaluation.")],
    out: Out,
) -> None:
    """Write a checkpoint for use, with a model card that compares it to the position prior."""
    from ibisagent.evaluation_cases import CaseSettings, plan_cases
    from ibisagent.manifest import load_manifest
    from ibistrain.corpus import load_corpus
    from ibistrain.model_card import write_card
    from ibistrain.position_prior import position_prior, prior_hits
    from ibistrain.publish import publish as write

    catalogue = load_catalogue()
    pictures = load_corpus(data, catalogue)
    report = json.loads(results.read_text(encoding="utf-8"))
    asked = {key: report["settings"][key] for key in CaseSettings.model_fields}
    sets = [load_manifest(data / name) for name in report["settings"]["sets"]]
    cases = plan_cases(sets, CaseSettings.model_validate(asked))
    hits = prior_hits(cases, position_prior(pictures))
    write(checkpoint, out, write_card(data, catalogue, pictures, report, hits))


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
