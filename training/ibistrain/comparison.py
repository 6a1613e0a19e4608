"""Is the new model better than the old one? Both answer the same questions on held-back subjects.

Means are over labels, as in the tables of `ibisagent evaluate`; intervals come from drawing
subjects (`ibistrain.bootstrap`). Both models are drawn alike, so that what makes a subject hard for
both does not blur their difference.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ibisagent.episode import BY_ITSELF
from ibisagent.errors import InvalidRequest
from ibisagent.evaluation_folder import Row
from ibistrain.bootstrap import Interval, draws, means_over_labels


class Rule(BaseModel):
    """When the new model is better.

    Its mean Dice is higher by more than `gain`; the lower end of the difference's interval is
    above ``-margin``, so that luck with a few subjects is not enough; it does not end by itself,
    nor recognise absent targets, less often by more than `stop_margin` and `absent_margin`; and
    there are subjects enough to tell.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    gain: float = Field(default=0.0, ge=0, description="Mean Dice must rise by more than this.")
    margin: float = Field(default=0.01, ge=0, description="Loss of Dice that may not be likely.")
    stop_margin: float = Field(
        default=0.25, ge=0, description="Most that the share of episodes it ends itself may fall."
    )
    absent_margin: float = Field(
        default=0.10, ge=0, description="Most that the share of recognised absences may fall."
    )
    subjects: int = Field(default=2, ge=2, description="Least number of held-back subjects.")


class Change(BaseModel):
    """One figure of both models."""

    model_config = ConfigDict(frozen=True)

    n: int = Field(description="Questions.")
    before: Interval
    after: Interval
    difference: Interval = Field(description="After minus before.")


class Comparison(BaseModel):
    """Two models on the same questions. A question that a model refuses counts as Dice 0."""

    model_config = ConfigDict(frozen=True)

    n: int = Field(description="Questions for a label that is there.")
    subjects: int = Field(description="Subjects among them.")
    seed: int
    dice: Change
    hit: Change = Field(description="Share of first clicks that are on the label.")
    turns: Change | None = Field(description="Of the questions that neither model refused.")
    stops: Change | None = Field(
        default=None, description="Share of their episodes that the model ended by itself."
    )
    absent: Change | None = Field(description="Share of absent labels recognised; None if none.")

    def better(self, rule: Rule | None = None) -> bool:
        """Whether the new model is better by a rule."""
        return not self.objections(rule)

    def objections(self, rule: Rule | None = None) -> list[str]:
        """Why the new model is not better, one sentence each; empty if it is."""
        rule = rule or Rule()
        gain, low = self.dice.difference.mean, self.dice.difference.low
        found = []
        if self.subjects < rule.subjects:
            found.append(f"{self.subjects} held-back subjects are too few; {rule.subjects} needed.")
        if not gain > rule.gain:
            found.append(f"Mean Dice changed by {gain:+.3f}; more than {rule.gain:+.3f} needed.")
        if not low > -rule.margin:
            found.append(f"The loss may be {low:+.3f} Dice; at worst {-rule.margin:+.3f} allowed.")
        if self.stops is not None and self.stops.difference.mean < -rule.stop_margin:
            found.append(f"It ends by itself less often ({self.stops.difference.mean:+.2f}).")
        if self.absent is not None and self.absent.difference.mean < -rule.absent_margin:
            fall = self.absent.difference.mean
            found.append(f"Absent targets are recognised less often ({fall:+.2f}).")
        return found

    def markdown(self) -> str:
        """A table with one line a figure."""
        lines = ["| | n | before | after | difference |", "|---|--:|---|---|---|"]
        for name, change in self.changes().items():
            cells = (name, change.n, change.before, change.after, change.difference)
            lines.append(f"| {' | '.join(map(str, cells))} |")
        return "\n".join(lines) + "\n"

    def changes(self) -> dict[str, Change]:
        """Heading -> figure, those that there are."""
        all_of_them = {
            "Dice": self.dice,
            "first click hits": self.hit,
            "turns": self.turns,
            "ends by itself": self.stops,
            "absent recognised": self.absent,
        }
        return {name: change for name, change in all_of_them.items() if change is not None}


def compare(before: Path, after: Path, seed: int = 0) -> Comparison:
    """Compare two evaluations.

    Args:
        before: ``results.json`` of the old model, or the folder that holds it.
        after: The same of the new model, on the same questions.
        seed: Of the bootstrap.

    Raises:
        InvalidRequest: A file cannot be read, or the questions are not the same.
    """
    return compare_rows(read_rows(before), read_rows(after), seed)


def read_rows(results: Path) -> list[Row]:
    """The rows of a ``results.json``.

    Raises:
        InvalidRequest: The file cannot be read.
    """
    file = results / "results.json" if results.is_dir() else results
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
        return [Row.model_validate(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise InvalidRequest(
            f"{file.name} in {file.parent} is not the result of an evaluation.",
            "Give the results.json that `ibisagent evaluate` wrote.",
        ) from error


def compare_rows(before: Sequence[Row], after: Sequence[Row], seed: int = 0) -> Comparison:
    """Compare rows of two evaluations, paired by their keys.

    Raises:
        InvalidRequest: The questions are not the same, or none is for a label that is there.
    """
    pairs = _pairs(before, after)
    present = [pair for pair in pairs if pair[0].present]
    absent = [pair for pair in pairs if not pair[0].present]
    asked = [pair for pair in present if pair[0].known and pair[1].known]
    if not present:
        raise InvalidRequest(
            "The evaluations ask for nothing that is there.", "Evaluate on more labelled sets."
        )
    return Comparison(
        n=len(present),
        subjects=len({_subject(old) for old, _ in present}),
        seed=seed,
        dice=_change(present, lambda row: row.dice, seed),
        hit=_change(present, lambda row: float(row.hit), seed),
        turns=_change(asked, lambda row: float(row.turns), seed) if asked else None,
        stops=_change(asked, lambda row: float(row.stop in BY_ITSELF), seed) if asked else None,
        absent=_change(absent, _recognised, seed) if absent else None,
    )


Pair = tuple[Row, Row]


def _pairs(before: Sequence[Row], after: Sequence[Row]) -> list[Pair]:
    new = {row.key: row for row in after}
    old = {row.key for row in before}
    if old != set(new):
        odd = min(old ^ set(new))
        raise InvalidRequest(
            f"The evaluations asked different questions, for example {odd} in one only.",
            "Evaluate both models with the same sets, options and seed.",
        )
    return [(row, new[row.key]) for row in before]


def _recognised(row: Row) -> float:
    return float(row.known and row.stop in BY_ITSELF and not row.marked)


def _subject(row: Row) -> tuple[str, str]:
    return row.set, row.subject


def _change(pairs: Sequence[Pair], value: Callable[[Row], float], seed: int) -> Change:
    counted = draws([_subject(old) for old, _ in pairs], seed)
    labels = [(old.set, old.label) for old, _ in pairs]
    before, after = (
        means_over_labels(labels, [value(pair[side]) for pair in pairs], counted) for side in (0, 1)
    )
    return Change(
        n=len(pairs),
        before=Interval.of(before),
        after=Interval.of(after),
        difference=Interval.of(after - before),
    )
