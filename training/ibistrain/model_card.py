"""The model card of the embedded policy, from its data, its evaluation and its baseline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Any

from ibistrain.catalogue import Catalogue
from ibistrain.labelled_picture import LabelledPicture

Hits = Mapping[tuple[str, str], Sequence[bool]]


def write_card(
    data: Path,
    catalogue: Catalogue,
    pictures: Sequence[LabelledPicture],
    results: Mapping[str, Any],
    prior: Hits,
    targets: Iterable[str],
) -> str:
    """The card as Markdown.

    Args:
        data: Folder with one folder a set; licences are read from the manifests.
        catalogue: The sets that were used.
        pictures: The training side of the corpus.
        results: ``results.json`` of ``ibisagent evaluate`` on held-back subjects.
        prior: Hits of the position prior on the same questions.
        targets: What the model has learnt, which may be less than the catalogue has by now.
    """
    template = (resources.files("ibistrain") / "data" / "model_card.md").read_text("utf-8")
    fields = {
        "data": _data_table(data, catalogue, pictures),
        "figures": _figures_table(results, prior),
        "headline": _headline(results, prior),
        "command": results["command"],
        "machine": ", ".join(f"{key} {value}" for key, value in results["machine"].items()),
        "targets": ", ".join(sorted(targets)),
    }
    for name, text in fields.items():
        template = template.replace(f"{{{{{name}}}}}", text)
    return template


def _data_table(data: Path, catalogue: Catalogue, pictures: Sequence[LabelledPicture]) -> str:
    lines = [
        "| set | origin | modality | licence | subjects | pictures |",
        "|---|---|---|---|--:|--:|",
    ]
    for name in catalogue.sets:
        used = [picture for picture in pictures if picture.set_name == name and picture.present]
        if used:
            about = json.loads((data / name / "manifest.json").read_text(encoding="utf-8"))
            origin = (about["original"], about["modality"], about["licence"])
            subjects = len({picture.subject for picture in used})
            cells = (name, *(text.replace("|", "/") for text in origin), subjects, len(used))
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _figures_table(results: Mapping[str, Any], prior: Hits) -> str:
    lines = [
        "| set | label | n | subjects | first click hits | position prior hits | Dice, first click "
        "| Dice | IoU | turns | stops itself |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, report in results["sets"].items():
        for label, mean in report["labels"].items():
            hits = prior.get((name, label))
            cells = (
                name,
                label,
                mean["n"],
                mean["subjects"],
                f"{mean['hit']:.2f}",
                f"{fmean(hits):.2f}" if hits else "-",
                *(f"{mean[key]:.2f}" for key in ("first_dice", "dice", "iou", "turns", "stopped")),
            )
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _headline(results: Mapping[str, Any], prior: Hits) -> str:
    """Means over labels, of policy and prior on the same labels."""
    pairs = [
        (mean["hit"], fmean(prior[name, label]), mean["n"])
        for name, report in results["sets"].items()
        for label, mean in report["labels"].items()
        if prior.get((name, label))
    ]
    policy, constant = (fmean(pair[i] for pair in pairs) for i in (0, 1))
    mean, absent = results["mean"], results["absent"]
    recognised = absent["recognised"]
    return (
        f"On subjects that training never saw, the first click hits the target in "
        f"**{policy:.0%}** of the questions; the best constant click for each label, learnt from "
        f"the same training pictures, hits in **{constant:.0%}** (means over {len(pairs)} labels, "
        f"{sum(n for *_, n in pairs)} questions). Dice after the first click is "
        f"{mean['first_dice']:.2f}, after the last {mean['dice']:.2f}; an episode takes "
        f"{mean['turns']:.1f} turns and is ended by the agent itself in {mean['stopped']:.0%}. "
        f"Of {absent['n']} questions for something that is not there, "
        f"{'none was asked' if recognised is None else f'{recognised:.0%} were recognised'}."
    )
