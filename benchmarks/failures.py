"""What the default agent makes of one head, slice by slice, good or bad: ``make bench-failures``.

The demo shows the best of these slices; this shows them all. The template (MNI152) comes with a
package, so that its pictures may be shown, and is in no training. Writes
``docs/pictures/failures.png`` and ``docs/results/failures.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from rich.console import Console
from rich.progress import track

mpl.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from demo.study import DEFAULT_PROMPT, Study, template  # noqa: E402
from ibisagent.actions import Click  # noqa: E402
from ibisagent.agent import Agent, load_agent  # noqa: E402
from ibisagent.episode import Episode, Limits, run  # noqa: E402
from ibisagent.errors import IBISAgentError  # noqa: E402
from ibisagent.metrics import dice  # noqa: E402
from ibisagent.output import make_folder, write_whole  # noqa: E402
from ibisagent.overlay import overlay  # noqa: E402
from ibisagent.slices import SliceView  # noqa: E402
from ibisagent.tools.base import RGB, Mask  # noqa: E402

RESULTS = ROOT / "docs" / "results" / "failures.json"
PICTURE = ROOT / "docs" / "pictures" / "failures.png"
COLUMNS, ROWS = 8, 3
LEAST_SHARE = 0.03
"""Slices on which less of the picture is brain are not asked about."""
MAX_STEPS = 6


@dataclass(frozen=True, eq=False)
class Shown:
    """One slice, and what the agent left on it.

    Attributes:
        index: The slice's number.
        rgb: Axes (row, column, channel).
        truth: The reference, axes (row, column).
        mask: The agent's, likewise.
        clicks: In order.
        stop: Why it ended.
    """

    index: int
    rgb: RGB
    truth: Mask
    mask: Mask
    clicks: tuple[Click, ...]
    stop: str

    @property
    def dice(self) -> float:
        """Agreement with the reference."""
        return float(dice(self.mask, self.truth))


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, draw and write; the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks/failures.py")
    parser.add_argument("--slices", type=int, default=COLUMNS * ROWS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    options = parser.parse_args(arguments)
    try:
        agent, study = load_agent(), template()
        shown = [ask(agent, study, index) for index in track(chosen(study, options.slices))]
        write(shown, agent, options.out)
        draw(shown, options.picture)
    except IBISAgentError as error:
        Console(stderr=True, highlight=False).print(f"bench: {error}", style="red", markup=False)
        return 1
    return 0


def chosen(study: Study, count: int) -> list[int]:
    """Axial slices that show enough brain, evenly spaced."""
    if study.reference is None:
        return []
    enough = np.flatnonzero(study.reference.mean((1, 2)) > LEAST_SHARE)
    return enough[np.linspace(0, len(enough) - 1, count).round().astype(int)].tolist()


def ask(agent: Agent, study: Study, index: int) -> Shown:
    """One episode on a slice."""
    view = SliceView(study.image, "axial")
    rgb = view.rgb(index)
    episode = Episode(rgb, DEFAULT_PROMPT, agent.tool, agent.profile, Limits(max_steps=MAX_STEPS))
    run([episode], agent.policy)
    stop = episode.stop.value if episode.stop else ""
    truth = np.asarray(view.from_volume(study.reference, index), dtype=bool)
    return Shown(index, rgb, truth, episode.segmentation.mask, episode.clicks, stop)


def write(shown: Sequence[Shown], agent: Agent, path: Path) -> None:
    """The figures."""
    report = {
        "command": "python benchmarks/failures.py",
        "policy": agent.policy.name,
        "tool": agent.tool.name,
        "prompt": DEFAULT_PROMPT,
        "mean_dice": round(float(np.mean([one.dice for one in shown])), 4),
        "slices": [
            {
                "slice": one.index,
                "dice": round(one.dice, 4),
                "clicks": len(one.clicks),
                "stop": one.stop,
            }
            for one in shown
        ],
    }
    make_folder(path.parent)
    write_whole(path, (json.dumps(report, indent=1) + "\n").encode("utf-8"))


def draw(shown: Sequence[Shown], path: Path) -> None:
    """All slices: the agent's mask in green, the reference as a line, clicks as signs."""
    rows = -(-len(shown) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(1.6 * COLUMNS, 2.1 * rows), squeeze=False)
    for place in axes.flat:
        place.axis("off")
    for place, one in zip(axes.flat, shown, strict=False):
        height, width = one.truth.shape
        place.imshow(overlay(one.rgb, one.mask, (34, 139, 34), 0.5))
        place.contour(one.truth, [0.5], colors="orange", linewidths=0.8)
        for click in one.clicks:
            row, column = click.to_pixel(height, width)
            sign = "$+$" if click.positive else "$-$"
            place.scatter(column, row, marker=sign, color="red", s=40, linewidths=0.5)
        place.set_title(f"{one.index}: {one.dice:.2f}", fontsize=8)
    figure.suptitle(
        f"{DEFAULT_PROMPT}, slice: Dice. Green: the agent's mask. Line: the reference.", fontsize=9
    )
    figure.tight_layout()
    make_folder(path.parent)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
