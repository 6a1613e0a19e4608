"""Making the embedded policy and the embedded tool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ibistrain.catalogue import load_catalogue
from ibistrain.cli.console import console
from ibistrain.cli.options import Corpus, Data, Minutes, Out, Seed


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


def compare_tools(
    data: Data,
    tool: Annotated[
        list[str] | None,
        typer.Option(
            help="As `ibisagent segment` takes it; may be repeated, then the first is what the "
            "others are compared to. 'embedded' if not given."
        ),
    ] = None,
    each: Annotated[int, typer.Option(min=1, help="Pictures of each label of each set.")] = 2,
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    device: Annotated[str, typer.Option(help="'auto', 'cpu', 'cuda' or 'cuda:N'.")] = "auto",
    seed: Seed = 0,
) -> None:
    """Tell how well tools follow clicks on held-back subjects and on sets left out of training."""
    from ibisagent.output import write_whole
    from ibisagent.tools import load_tool
    from ibistrain.clicks.curve import draw_cases
    from ibistrain.clicks.tool_comparison import compare_tools as compare
    from ibistrain.clicks.tool_comparison import markdown
    from ibistrain.corpus import load_corpus, load_left_out

    catalogue = load_catalogue()
    tools = {spec: load_tool(spec, device) for spec in tool or ["embedded"]}
    held_back = draw_cases(load_corpus(data, catalogue, held_back=True), each, seed)
    left_out = draw_cases(load_left_out(data, catalogue), each, seed)
    found = [compare(tools, held_back, "held-back subjects", seed)]
    if left_out:
        found.append(compare(tools, left_out, "sets left out", seed))
    console.print(markdown(found), highlight=False, soft_wrap=True)
    if out is not None:  # after what took minutes is shown, as the file may not be writable
        report = [one.model_dump(mode="json") for one in found]
        write_whole(out, (json.dumps(report, indent=1) + "\n").encode("utf-8"))
