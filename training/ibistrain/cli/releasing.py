"""Whether a model is better, and taking it into use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ibistrain.catalogue import load_catalogue
from ibistrain.cli.console import console
from ibistrain.cli.options import Data, Out, Seed

Results = Annotated[Path, typer.Argument(help="results.json of an evaluation, or its folder.")]
Root = Annotated[Path, typer.Argument(help="Folder of the released versions.")]


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
    console.print(comparison.markdown(), highlight=False, soft_wrap=True)
    objections = comparison.objections()
    console.print(" ".join(["Not better.", *objections]) if objections else "Better.")


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


def rollback(root: Root) -> None:
    """Take the version into use again that was in use before the present one."""
    from ibistrain.release import Releases

    console.print(f"version {Releases(root).rollback().name} is in use again")
