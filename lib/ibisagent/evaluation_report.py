"""Means of an evaluation, as JSON and as a table.

A label's mean is over its questions, a set's over its labels, and the overall one over all
labels of all sets, so that a label with many slices counts no more than one with few.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

from pydantic import BaseModel, ConfigDict, Field

from ibisagent.episode import BY_ITSELF
from ibisagent.evaluation_folder import EvaluationFolder, Row

F1_IOU = 0.5
"""IoU from which a mask counts as found."""


class Means(BaseModel):
    """Means over questions for labels that are present, or over such means."""

    model_config = ConfigDict(frozen=True)

    n: int = Field(description="Questions for a label that is there.")
    subjects: int = Field(description="Subjects among them.")
    hit: float = Field(description="Share of first clicks that are on the label.")
    first_dice: float = Field(description="Dice after the first click.")
    dice: float
    iou: float
    f1: float = Field(description="F1 at IoU .5, questions for absent labels included.")
    turns: float
    stopped: float = Field(description="Share of episodes that the agent ended by itself.")
    seconds: float = Field(description="Seconds a turn.")


class Absent(BaseModel):
    """Questions for labels that are not on the slice."""

    model_config = ConfigDict(frozen=True)

    n: int
    recognised: float | None = Field(description="Share ended by the agent with an empty mask.")


class SetReport(BaseModel):
    """One data set."""

    model_config = ConfigDict(frozen=True)

    mean: Means = Field(description="Mean over labels.")
    labels: dict[str, Means]
    absent: Absent


class Report(BaseModel):
    """All sets together."""

    model_config = ConfigDict(frozen=True)

    mean: Means | None = Field(description="Mean over all labels of all sets.")
    sets: dict[str, SetReport]
    absent: Absent
    not_asked: dict[str, int] = Field(
        description="Label -> questions left out, since the model says it has not learnt it."
    )


def summarise(rows: Sequence[Row]) -> Report:
    """Means of an evaluation's rows."""
    asked = [row for row in rows if row.known]
    unknown = [row for row in rows if not row.known]
    sets = {
        name: _set_report(part)
        for name, part in _groups(asked, "set").items()
        if any(row.present for row in part)
    }
    means = [mean for report in sets.values() for mean in report.labels.values()]
    return Report(
        mean=_mean_of(means, asked) if means else None,
        sets=sets,
        absent=_absent(asked),
        not_asked={label: len(part) for label, part in _groups(unknown, "label").items()},
    )


def write_report(
    folder: EvaluationFolder, rows: Sequence[Row], command: str, machine: dict[str, str | int]
) -> Report:
    """Write ``results.json`` and ``table.md``.

    Args:
        folder: The evaluation's.
        rows: Its rows.
        command: How it was started; must hold no path of this machine.
        machine: What it ran on, from `ibisagent.machine.machine_facts`.

    Raises:
        OutputNotWritable: The disk is full, or the folder was closed.
    """
    report = summarise(rows)
    results = {
        "command": command,
        "machine": machine,
        "settings": folder.settings,
        "n": len(rows),
        **report.model_dump(mode="json"),
        "rows": [row.model_dump(mode="json") for row in rows],
    }
    folder.write("results.json", json.dumps(results, indent=1) + "\n")
    folder.write("table.md", markdown(report))
    return report


HEADINGS = (
    "set",
    "label",
    "n",
    "subjects",
    "first click hits",
    "Dice, first click",
    "Dice",
    "IoU",
    "F1",
    "turns",
    "stops itself",
    "s a turn",
    "absent recognised",
)
"""Columns of the table; F1 is at an IoU of `F1_IOU`."""


def table(report: Report, labels: bool = True) -> Iterator[tuple[str, ...]]:
    """Rows of the table as text: labels, their set's mean, and last the mean of all.

    Args:
        report: What to show.
        labels: Whether labels have rows of their own, or only sets.
    """
    for name, part in report.sets.items():
        several = len(part.labels) > 1
        if labels and several:
            for label, mean in part.labels.items():
                yield name, label, *_cells(mean), ""
        what = f"mean of {len(part.labels)}" if several else next(iter(part.labels))
        yield name, what, *_cells(part.mean), _share(part.absent)
    if report.mean is not None:
        number = sum(len(part.labels) for part in report.sets.values())
        yield "all", f"mean of {number}", *_cells(report.mean), _share(report.absent)


def markdown(report: Report) -> str:
    """The whole table as Markdown, means of several labels in bold, and what was left out."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    for row in table(report):
        bold = row[1].startswith("mean of ")
        cells = (f"**{cell}**" if bold and cell else cell for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    if report.not_asked:
        names = ", ".join(f"{label} ({count})" for label, count in report.not_asked.items())
        lines += ["", f"Not asked, since the model says that it has not learnt it: {names}."]
    return "\n".join(lines) + "\n"


def f1(rows: Iterable[Row]) -> float:
    """F1 of masks taken as entities, as `ibisagent.metrics.entity_f1`, from finished rows."""
    found = spurious = missed = 0
    for row in rows:
        if row.present and row.iou >= F1_IOU:
            found += 1
            continue
        spurious += row.marked
        missed += row.present
    total = 2 * found + spurious + missed
    return 2 * found / total if total else 1.0


def _set_report(rows: Sequence[Row]) -> SetReport:
    labels = {
        label: _means(part)
        for label, part in _groups(rows, "label").items()
        if any(row.present for row in part)
    }
    return SetReport(
        mean=_mean_of(list(labels.values()), rows), labels=labels, absent=_absent(rows)
    )


def _means(rows: Sequence[Row]) -> Means:
    """Means over one label's questions."""
    present = [row for row in rows if row.present]
    turns = sum(row.turns for row in present)
    return Means(
        n=len(present),
        subjects=_subjects(present),
        hit=fmean(row.hit for row in present),
        first_dice=fmean(row.first_dice for row in present),
        dice=fmean(row.dice for row in present),
        iou=fmean(row.iou for row in present),
        f1=f1(rows),
        turns=turns / len(present),
        stopped=fmean(row.stop in BY_ITSELF for row in present),
        seconds=sum(row.seconds for row in present) / max(turns, 1),
    )


def _mean_of(means: Sequence[Means], rows: Iterable[Row]) -> Means:
    """Every label counts the same, however often it was asked for."""
    names = ("hit", "first_dice", "dice", "iou", "f1", "turns", "stopped", "seconds")
    values = {name: fmean(getattr(mean, name) for mean in means) for name in names}
    subjects = _subjects(row for row in rows if row.present)
    return Means(n=sum(mean.n for mean in means), subjects=subjects, **values)


def _absent(rows: Iterable[Row]) -> Absent:
    absent = [row for row in rows if not row.present]
    right = [row.stop in BY_ITSELF and not row.marked for row in absent]
    return Absent(n=len(absent), recognised=fmean(right) if right else None)


def _subjects(rows: Iterable[Row]) -> int:
    return len({(row.set, row.subject) for row in rows})


def _groups(rows: Iterable[Row], field: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(getattr(row, field), []).append(row)
    return groups


def _cells(mean: Means) -> tuple[str, ...]:
    scores = (mean.hit, mean.first_dice, mean.dice, mean.iou, mean.f1)
    return (
        str(mean.n),
        str(mean.subjects),
        *(f"{score:.2f}" for score in scores),
        f"{mean.turns:.1f}",
        f"{mean.stopped:.2f}",
        f"{mean.seconds:.2f}",
    )


def _share(absent: Absent) -> str:
    return "" if absent.recognised is None else f"{absent.recognised:.2f} of {absent.n}"
