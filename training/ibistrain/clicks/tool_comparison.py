"""How well tools follow clicks, one beside the other: the same ideal clicks at the same targets.

Figures are means over labels; intervals come from drawing subjects (`ibistrain.bootstrap`), so that
luck with a few subjects does not pass for a better tool.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ibisagent.errors import InvalidRequest
from ibisagent.tools.base import SegmentationTool
from ibistrain.bootstrap import Interval, draws, means_over_labels
from ibistrain.clicks.curve import MOST_CLICKS, Curve, curves, mean_over_labels
from ibistrain.labelled_picture import LabelledPicture


class ToolFigures(BaseModel):
    """One tool on some targets."""

    model_config = ConfigDict(frozen=True)

    tool: str
    dices: list[float] = Field(description="Mean Dice after each click.")
    clicks_to_good: float = Field(description="Mean NoC@85.")
    gain: Interval | None = Field(
        description="Mean Dice over all clicks, less the first tool's; None of the first itself."
    )


class ToolComparison(BaseModel):
    """Tools on the same targets."""

    model_config = ConfigDict(frozen=True)

    of: str = Field(description="Whose targets they are.")
    n: int = Field(description="Targets.")
    subjects: int
    seed: int = Field(description="Of the bootstrap.")
    tools: list[ToolFigures]


def compare_tools(
    tools: Mapping[str, SegmentationTool],
    cases: Sequence[tuple[LabelledPicture, str]],
    of: str,
    seed: int = 0,
) -> ToolComparison:
    """Click at each case with each tool.

    Args:
        tools: By the names that are shown; the others are compared to the first.
        cases: From `draw_cases`.
        of: Whose targets they are, for people.
        seed: Of the bootstrap.

    Raises:
        InvalidRequest: There is no case, or no tool.
    """
    if not cases or not tools:
        raise InvalidRequest(
            f"There is nothing to compare: {len(tools)} tools, {len(cases)} targets of {of}.",
            "Name a tool, and labelled sets of which the split holds subjects back.",
        )
    found = {name: list(curves(tool, cases)) for name, tool in tools.items()}
    first, *others = found
    gains = {name: _gain(found[first], found[name], seed) for name in others}
    return ToolComparison(
        of=of,
        n=len(cases),
        subjects=len({(picture.set_name, picture.subject) for picture, _ in cases}),
        seed=seed,
        tools=[_figures(name, found[name], gains.get(name)) for name in found],
    )


def markdown(comparisons: Iterable[ToolComparison]) -> str:
    """A table with one line a tool."""
    clicks = " | ".join(map(str, range(1, MOST_CLICKS + 1)))
    lines = [
        f"| Dice after clicks | n | {clicks} | clicks to .85 | gain, mean of all clicks |",
        f"|---|--:|{'--:|' * MOST_CLICKS}--:|---|",
    ]
    for one in comparisons:
        for tool in one.tools:
            dices = [f"{value:.3f}" for value in tool.dices]
            gain = "" if tool.gain is None else str(tool.gain)
            name, clicks_to_good = f"{one.of}: {tool.tool}", f"{tool.clicks_to_good:.2f}"
            lines.append(f"| {' | '.join([name, str(one.n), *dices, clicks_to_good, gain])} |")
    return "\n".join(lines) + "\n"


def _figures(name: str, found: Sequence[Curve], gain: Interval | None) -> ToolFigures:
    dices, clicks = mean_over_labels(found)
    return ToolFigures(tool=name, dices=dices, clicks_to_good=clicks, gain=gain)


def _gain(before: Sequence[Curve], after: Sequence[Curve], seed: int) -> Interval:
    counted = draws([(curve.set_name, curve.subject) for curve in before], seed)
    labels = [(curve.set_name, curve.label) for curve in before]
    gains = [
        float(np.mean(new.dices) - np.mean(old.dices))
        for old, new in zip(before, after, strict=True)
    ]
    return Interval.of(means_over_labels(labels, gains, counted))
