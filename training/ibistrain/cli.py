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
from rich.progress import Progress

from ibisagent.errors import IBISAgentError
from ibistrain.catalogue import load_catalogue

app = typer.Typer(
    no_args_is_help=True,
    help="Train policies: simulate trajectories, fine-tune, publish.",
    pretty_exceptions_enable=False,
)
console = Console(stderr=True)

CONFIGS = Path(__file__).parent / "configs"

Data = Annotated[Path, typer.Option(help="Folder with one folder a labelled set.")]
Corpus = Annotated[
    Path, typer.Option(exists=True, help="The same, or a file that `ibistrain pack` wrote.")
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


@app.command()
def pack(
    data: Annotated[Path, typer.Option(help="Folder with one folder a labelled set.")],
    out: Annotated[Path, typer.Option(help="File for the corpus.")],
    quality: Annotated[
        int | None, typer.Option(min=1, max=100, help="Of lossy pictures; lossless if not given.")
    ] = None,
) -> None:
    """Write the training side of the sets into one file, to train elsewhere."""
    from ibistrain.corpus import load_corpus
    from ibistrain.packed_corpus import pack as write

    pictures = load_corpus(data, load_catalogue())
    write(out, pictures, quality)
    console.print(f"{len(pictures)} pictures, {out.stat().st_size / 2**20:.1f} MiB")


@app.command()
def init(
    data: Corpus,
    out: Out,
    larger: Annotated[
        bool, typer.Option("--larger", help="11.6 instead of 6.5 million parameters.")
    ] = False,
    seed: Seed = 0,
) -> None:
    """Write the untrained checkpoint of the embedded policy."""
    from ibistrain.packed_corpus import training_pictures
    from ibistrain.starting_point import write_starting_point
    from ibistrain.tiny import LARGER, TinySize

    catalogue, size = load_catalogue(), LARGER if larger else TinySize()
    write_starting_point(out, training_pictures(data, catalogue), catalogue, size, seed)


@app.command()
def simulate(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the shards; an earlier run is continued.")],
    settings: Annotated[
        Path, typer.Option(help="YAML file; the default is the package's.")
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


@app.command()
def embedded(
    data: Corpus,
    start: Annotated[Path, typer.Option(help="Checkpoint to start from.")],
    out: Out,
    with_tool: Annotated[
        bool,
        typer.Option(
            "--with-tool", help="Let the tool mark pictures, and explain them; needs a GPU."
        ),
    ] = False,
    tool_weights: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Of that tool; the package's if not given."),
    ] = None,
    states: Annotated[
        list[Path] | None,
        typer.Option(help="Simulated episodes whose masks to correct; may be repeated."),
    ] = None,
    refinement: Annotated[
        float, typer.Option(min=0, max=1, help="Share of batches asked again with masks.")
    ] = 0.35,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 6000,
    minutes: Minutes = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures at once.")] = 8,
    batches: Annotated[int, typer.Option(min=1, help="Batches a step.")] = 1,
    learning_rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    questions: Annotated[
        int, typer.Option(min=0, help="Most questions a picture; 0 teaches only to see.")
    ] = 5,
    absent: Annotated[
        float, typer.Option(min=0, max=1, help="Chance of a question for what is not there.")
    ] = 0.4,
    strange: Annotated[
        float, typer.Option(min=0, max=1, help="Chance of one for what its kind never shows.")
    ] = 0.3,
    strength: Annotated[float, typer.Option(min=0, help="Of the augmentation.")] = 1.0,
    seed: Seed = 0,
) -> None:
    """Train the embedded policy; a run that was broken off is continued."""
    from ibisagent.tools.click_weights import EMBEDDED
    from ibistrain.clicks.following import FollowingClicks
    from ibistrain.embedded import train_embedded
    from ibistrain.embedded_config import EmbeddedConfig
    from ibistrain.packed_corpus import training_pictures
    from ibistrain.states import read_states

    catalogue = load_catalogue()
    pictures = training_pictures(data, catalogue)
    by_name = {picture.name: picture for picture in pictures}
    moments = [moment for source in states or [] for moment in read_states(source, by_name)]
    config = EmbeddedConfig(
        steps=steps,
        minutes=minutes,
        batch=batch,
        batches=batches,
        learning_rate=learning_rate,
        refinement=refinement,
        questions=questions,
        absent=absent,
        strange=strange,
        strength=strength,
        seed=seed,
    )
    marking = FollowingClicks(tool_weights or EMBEDDED) if with_tool else None
    weights = {name: entry.weight for name, entry in catalogue.sets.items()}
    train_embedded(start, out, pictures, weights, catalogue.synonyms, config, marking, moments)


@app.command()
def tool(
    data: Corpus,
    out: Out,
    pictures: Annotated[int, typer.Option(min=1, help="Pictures a step.")] = 24,
    targets: Annotated[int, typer.Option(min=1, help="Targets in each of them.")] = 4,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 1200,
    minutes: Minutes = None,
    posed: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Embed so many posed pictures once, and leave the image encoder as it is: for "
            "processors.",
        ),
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 5e-4,
    boxes: Annotated[
        int,
        typer.Option(min=0, max=8, help="Tried on each picture to find regions without a label."),
    ] = 8,
    start: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Weights to start from; without, LiteMedSAM's."
        ),
    ] = None,
    into: Annotated[
        Path | None, typer.Option(help="File for the float16 weights of the result.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Teach the embedded tool to follow clicks; a run that was broken off is continued."""
    from safetensors.torch import load_file

    from ibisagent.tools.click_weights import write_click_weights
    from ibistrain.clicks.click_trainer import ClickConfig
    from ibistrain.clicks.train import train_clicks
    from ibistrain.packed_corpus import training_pictures

    catalogue = load_catalogue()
    weights = {name: entry.weight for name, entry in catalogue.sets.items()}
    config = ClickConfig(
        steps=steps,
        minutes=minutes,
        posed=posed,
        pictures=pictures,
        targets=targets,
        learning_rate=learning_rate,
        boxes=boxes,
        seed=seed,
    )
    result = train_clicks(training_pictures(data, catalogue), weights, out, config, start)
    if into is not None:
        write_click_weights(into, load_file(result))


@app.command()
def sft(settings: Settings, changes: Changes = None) -> None:
    """Fine-tune a policy on simulated episodes; a run that was broken off is continued."""
    from ibistrain.run_config import read_changes, read_config
    from ibistrain.sft_config import SftConfig

    config = read_config(SftConfig, settings, read_changes(changes or []))
    from ibistrain.sft import sft as train  # after the settings: TRL loads slowly

    console.print(f"policy: {train(config)}")


@app.command()
def rl(settings: Settings, changes: Changes = None) -> None:
    """Train a policy by its own experience (GRPO); a broken-off run is continued."""
    from ibistrain.rl_config import RlConfig
    from ibistrain.run_config import read_changes, read_config

    config = read_config(RlConfig, settings, read_changes(changes or []))
    from ibistrain.rl import rl as train  # after the settings: TRL loads slowly

    console.print(f"policy: {train(config)}")


@app.command()
def average(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(
            help="The model/ folders of runs that began with the same one; or files that runs of "
            "the tool wrote."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder, or file for weights of the tool.")],
) -> None:
    """Write the mean of several checkpoints' weights, often better than each of them."""
    from ibistrain import averaging

    files = all(path.suffix == ".safetensors" for path in checkpoints)
    (averaging.average_tools if files else averaging.average)(checkpoints, out)


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
    from ibisagent.prompts import load_profile
    from ibistrain.corpus import load_corpus
    from ibistrain.model_card import write_card
    from ibistrain.position_prior import position_prior, prior_hits
    from ibistrain.publish import publish as write

    catalogue = load_catalogue()
    pictures = load_corpus(data, catalogue)
    # A profile lists synonyms, too.
    learnt = {t for picture in pictures for t in picture.targets} & {
        *load_profile(checkpoint).targets
    }
    report = json.loads(results.read_text(encoding="utf-8"))
    asked = {key: report["settings"][key] for key in CaseSettings.model_fields}
    sets = [load_manifest(data / name) for name in report["settings"]["sets"]]
    cases = plan_cases(sets, CaseSettings.model_validate(asked))
    hits = prior_hits(cases, position_prior(pictures))
    write(checkpoint, out, write_card(data, catalogue, pictures, report, hits, learnt))


@app.command("export-published")
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


Results = Annotated[Path, typer.Argument(help="results.json of an evaluation, or its folder.")]
Root = Annotated[Path, typer.Argument(help="Folder of the released versions.")]


@app.command()
def compare(
    before: Results,
    after: Results,
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    seed: Seed = 0,
) -> None:
    """Tell whether a model is better than another on the same held-back questions."""
    from ibisagent.output import write_whole
    from ibistrain.comparison import compare as measure

    comparison = measure(before, after, seed)
    if out is not None:
        write_whole(out, (comparison.model_dump_json(indent=1) + "\n").encode("utf-8"))
    console.print(comparison.markdown(), highlight=False)
    objections = comparison.objections()
    console.print(" ".join(["Not better.", *objections]) if objections else "Better.")


@app.command()
def release(
    root: Root,
    checkpoint: Annotated[Path, typer.Argument(help="The model/ folder of a run.")],
    before: Results,
    after: Results,
    episodes: Annotated[Path, typer.Option(help="What it learnt from: simulated episodes.")],
    data: Data,
    title: Annotated[str, typer.Option(help="Heading of the model card.")] = "IBISAgent policy",
    start: Annotated[str, typer.Option(help="Name of the model it started from.")] = "embedded",
    anyway: Annotated[bool, typer.Option("--anyway", help="Even if it is not better.")] = False,
) -> None:
    """Take a checkpoint into use as a new version, if it is better than the one before."""
    from ibisagent.errors import InvalidRequest
    from ibistrain.comparison import compare as measure
    from ibistrain.episode_record import read_episodes
    from ibistrain.release import Releases
    from ibistrain.release_card import data_notes, release_card

    comparison = measure(before, after)
    objections = comparison.objections()
    if objections and not anyway:
        raise InvalidRequest(
            f"The checkpoint is not better: {' '.join(objections)}",
            "Train longer or on more studies; --anyway releases it nevertheless.",
        )
    notes = data_notes(read_episodes(episodes), data)
    card = release_card(title, start, notes, comparison, {"run": checkpoint.parent.name})
    version = Releases(root).release(checkpoint, card, comparison.model_dump(mode="json"))
    console.print(f"version {version.name} is in use")


@app.command()
def rollback(root: Root) -> None:
    """Take the version into use again that was in use before the present one."""
    from ibistrain.release import Releases

    console.print(f"version {Releases(root).rollback().name} is in use again")


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
