"""The model card of a released version: what it learnt from, how, and whether it got better."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

from ibistrain.comparison import Comparison, Rule
from ibistrain.episode_record import EpisodeRecord

NOT_STATED = "not stated"


@dataclass(frozen=True)
class DataNote:
    """What was learnt from one data set.

    Attributes:
        name: Name of the set.
        modality: As its manifest says it.
        licence: As its manifest says it.
        subjects: Number of subjects.
        pictures: Number of pictures; a slice is one.
        episodes: Number of episodes.
        targets: What was asked for, sorted.
    """

    name: str
    modality: str
    licence: str
    subjects: int
    pictures: int
    episodes: int
    targets: tuple[str, ...]


def data_notes(episodes: Iterable[EpisodeRecord], root: Path) -> list[DataNote]:
    """Count what episodes were made of.

    Args:
        episodes: As training read them.
        root: Folder that their image paths are relative to; manifests are looked for in it.

    Returns:
        One note a set, sorted by name.
    """
    by_set: dict[str, list[EpisodeRecord]] = {}
    for episode in episodes:
        by_set.setdefault(episode.set_name, []).append(episode)
    return [_note(name, part, root) for name, part in sorted(by_set.items())]


def release_card(
    title: str,
    start: str,
    data: Sequence[DataNote],
    comparison: Comparison,
    recipe: Mapping[str, object],
    rule: Rule | None = None,
) -> str:
    """The card as Markdown.

    Args:
        title: Heading.
        start: Name of the model that training started from; no path.
        data: What it learnt from.
        comparison: With the model before.
        recipe: Settings of the training, name -> value; no paths.
        rule: By which it is judged.
    """
    template = (resources.files("ibistrain") / "data" / "release_card.md").read_text("utf-8")
    fields = {
        "title": title,
        "start": start,
        "verdict": _verdict(comparison, rule or Rule()),
        "questions": str(comparison.n),
        "subjects": str(comparison.subjects),
        "figures": comparison.markdown().rstrip(),
        "data": _data_table(data),
        "recipe": "\n".join(f"- {name}: {value}" for name, value in recipe.items()),
    }
    for name, text in fields.items():
        template = template.replace(f"{{{{{name}}}}}", text)
    return template


def _note(name: str, episodes: Sequence[EpisodeRecord], root: Path) -> DataNote:
    about = _manifest(root, episodes[0].image)
    slices = [(e.image, e.trajectory.slice.plane, e.trajectory.slice.index) for e in episodes]
    return DataNote(
        name=name,
        modality=str(about.get("modality") or NOT_STATED),
        licence=str(about.get("licence") or NOT_STATED),
        subjects=len({episode.subject for episode in episodes}),
        pictures=len(set(slices)),
        episodes=len(episodes),
        targets=tuple(sorted({episode.target for episode in episodes})),
    )


def _manifest(root: Path, image: str) -> dict[str, object]:
    """The manifest that is nearest above an image, as far as it can be read."""
    for folder in PurePosixPath(image).parents:
        try:
            content = json.loads((root / folder / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            return content
    return {}


def _verdict(comparison: Comparison, rule: Rule) -> str:
    stated = (
        f"The rule: mean Dice rises by more than {rule.gain:g}, the lower end of the difference's "
        f"interval is above {-rule.margin:g}, it does not end by itself less often by more than "
        f"{rule.stop_margin:g}, absent targets are not recognised less often by more than "
        f"{rule.absent_margin:g}, and at least {rule.subjects} subjects were held back."
    )
    objections = comparison.objections(rule)
    return " ".join(["No.", *objections, stated]) if objections else f"Yes. {stated}"


def _data_table(notes: Sequence[DataNote]) -> str:
    lines = [
        "| set | modality | licence | subjects | pictures | episodes | targets |",
        "|---|---|---|--:|--:|--:|---|",
    ]
    for note in notes:
        texts = [note.name, note.modality, note.licence]
        counts = [note.subjects, note.pictures, note.episodes]
        cells = [*texts, *map(str, counts), ", ".join(note.targets)]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines)
