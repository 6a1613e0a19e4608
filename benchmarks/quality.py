"""Compares ways to a mask on held-back subjects: ``make bench-quality``.

The default agent; the annotator's ideal clicks with our tool, which is the most that clicks can
give; a constant click, a random click, and the untrained tool with a constant box, which know
where a label usually is and have not looked. Writes ``docs/results/embedded_default.json`` and
``docs/pictures/quality.png``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from random import Random
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

mpl.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ibisagent import __version__  # noqa: E402
from ibisagent.actions import Click  # noqa: E402
from ibisagent.agent import Agent, load_agent  # noqa: E402
from ibisagent.episode import Episode, Limits, StopReason, run  # noqa: E402
from ibisagent.errors import IBISAgentError  # noqa: E402
from ibisagent.machine import machine_facts  # noqa: E402
from ibisagent.metrics import dice  # noqa: E402
from ibisagent.output import make_folder, write_whole  # noqa: E402
from ibisagent.tools.base import Mask, SegmentationTool  # noqa: E402
from ibisagent.tools.litemedsam_net import SIDE, Box, LiteMedSAMNet  # noqa: E402
from ibisagent.tools.square_frame import SquareFrame  # noqa: E402
from ibistrain.catalogue import load_catalogue  # noqa: E402
from ibistrain.clicks.curve import (  # noqa: E402
    MOST_CLICKS,
    curves,
    draw_cases,
    mean_over_labels,
)
from ibistrain.corpus import load_corpus, load_left_out  # noqa: E402
from ibistrain.labelled_picture import LabelledPicture  # noqa: E402
from ibistrain.position_prior import hit, position_prior  # noqa: E402

RESULTS = ROOT / "docs" / "results" / "embedded_default.json"
PLOT = ROOT / "docs" / "pictures" / "quality.png"

Case = tuple[LabelledPicture, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write and draw.

    Returns:
        The exit code: 0, or 1 where something could not be measured.
    """
    try:
        _measure(_parse(arguments), arguments)
    except IBISAgentError as error:
        Console(stderr=True, highlight=False).print(f"bench: {error}", style="red", markup=False)
        return 1
    return 0


def _measure(options: argparse.Namespace, arguments: Sequence[str] | None) -> None:
    catalogue = load_catalogue()
    train = load_corpus(options.data, catalogue)
    held_back = load_corpus(options.data, catalogue, held_back=True)
    cases = draw_cases(held_back, options.each, options.seed)
    agent = load_agent(options.policy, options.tool, options.device)
    strangers = draw_cases(load_left_out(options.data, catalogue), options.each, options.seed)
    found = list(curves(agent.tool, cases))
    large = [curve for curve in found if not curve.small]
    ways = {
        "agent": _agent(agent, cases),
        "constant click": _clicked(agent.tool, cases, _constant(position_prior(train))),
        "random click": _clicked(agent.tool, cases, _anywhere(Random(options.seed))),
        "constant box, untrained tool": _boxed(cases, mean_boxes(train), options.device),
    }
    report = {
        "version": __version__,
        "measured": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": "python benchmarks/quality.py " + " ".join(arguments or sys.argv[1:]),
        "machine": machine_facts(),
        "policy": agent.policy.name,
        "tool": agent.tool.name,
        "each": options.each,
        "seed": options.seed,
        "n": len(cases),
        "labels": len({(p.set_name, label) for p, label in cases}),
        "annotator": _curve(found),
        "annotator_without_tiny_and_thin": _curve(large),
        "annotator_tiny_and_thin": _curve([curve for curve in found if curve.small]),
        "annotator_by_set": {
            name: _curve([curve for curve in found if curve.set_name == name])
            for name in sorted({curve.set_name for curve in found})
        },
        "annotator_on_sets_left_out": _curve(list(curves(agent.tool, strangers))),
        "ways": ways,
        "never_there": _never_there(agent, cases, Random(options.seed)),
    }
    make_folder(options.out.parent)
    write_whole(options.out, (json.dumps(report, indent=1) + "\n").encode("utf-8"))
    draw(report, options.plot)
    Console(highlight=False).print(_table(report))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/quality.py")
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder a set")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file for the figures")
    parser.add_argument("--plot", type=Path, default=PLOT, help="PNG file for the plot")
    parser.add_argument("--each", type=int, default=3, help="pictures of each label of each set")
    parser.add_argument("--policy", default="embedded")
    parser.add_argument("--tool", default="embedded", help="for example sam2:FOLDER")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def _agent(agent: Agent, cases: Sequence[Case]) -> dict[str, Any]:
    """The agent's own episodes, of the prompts that it does not refuse."""
    rows: dict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
    asked = [case for case in cases if agent.profile.understands(f"the {case[1]}")]
    for picture, label in track(asked, description="Asking the agent", transient=True):
        truth = picture.truth(label)
        episode = _played(agent, picture, label)
        clicked = [step for step in episode.steps if step.click is not None]
        first = clicked[0] if clicked else None
        rows[picture.set_name, label].append(
            (
                float(first is not None and hit(first.click, truth)),
                float(dice(first.segmentation.mask, truth)) if first else 0.0,
                float(dice(episode.segmentation.mask, truth)),
                len(episode.steps),
                float(episode.stop is not None and episode.stop.value == "terminated"),
            )
        )
    names = ("first_click_hits", "dice_first", "dice", "turns", "stops_by_itself")
    return {"n": len(asked), "refused": len(cases) - len(asked), **_means(rows, names)}


def _played(agent: Agent, picture: LabelledPicture, target: str) -> Episode:
    """The agent's own episode, from the plain prompt to its own end."""
    episode = Episode(picture.rgb, f"the {target}", agent.tool, agent.profile, Limits(max_steps=10))
    run([episode], agent.policy)
    return episode


def _never_there(agent: Agent, cases: Sequence[Case], rng: Random) -> dict[str, Any]:
    """How often the agent says so when asked for what pictures of the kind never show.

    By names that it has learnt: others it would refuse whatever the picture.
    """
    rows: dict[str, list[bool]] = defaultdict(list)
    for picture, _ in track(cases, description="Asking for what is never there", transient=True):
        strange = [name for name in picture.never if agent.profile.understands(f"the {name}")]
        if strange:
            episode = _played(agent, picture, rng.choice(strange))
            rows[picture.set_name].append(episode.stop is StopReason.NOT_PRESENT)
    asked = [said for group in rows.values() for said in group]
    return {
        "n": len(asked),
        "recognised": round(float(np.mean(asked)), 4) if asked else None,
        "recognised_by_set": {name: round(float(np.mean(rows[name])), 4) for name in sorted(rows)},
    }


def _clicked(
    tool: SegmentationTool,
    cases: Sequence[Case],
    click_for: Callable[[LabelledPicture, str], Click | None],
) -> dict[str, float]:
    rows: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for picture, label in cases:
        truth, click = picture.truth(label), click_for(picture, label)
        if click is not None:
            mask = tool.set_image(picture.rgb).segment([click]).mask
            rows[picture.set_name, label].append(
                (float(hit(click, truth)), float(dice(mask, truth)))
            )
    return _means(rows, ("first_click_hits", "dice"))


def _constant(prior: Mapping[str, Click]) -> Callable[[LabelledPicture, str], Click | None]:
    return lambda picture, label: prior.get(label)


def _anywhere(rng: Random) -> Callable[[LabelledPicture, str], Click | None]:
    return lambda picture, label: Click(rng.random(), rng.random())


def _boxed(
    cases: Sequence[Case], boxes: Mapping[str, NDArray[np.float64]], device: str
) -> dict[str, float]:
    """LiteMedSAM as it comes, with the mean box of each label."""
    net = LiteMedSAMNet(device)
    rows: dict[tuple[str, str], list[tuple[float]]] = defaultdict(list)
    for picture, label in track(cases, description="Boxes", transient=True):
        if label in boxes:
            truth = picture.truth(label)
            frame = SquareFrame.of(picture.rgb, SIDE)
            logits, _ = net.decode_boxes(
                net.embed(picture.rgb), [_in_square(boxes[label], frame.inner)]
            )
            height, width = frame.inner
            inner = np.ascontiguousarray(logits[0, :height, :width].numpy())
            mask: Mask = frame.to_image(inner) > 0
            rows[picture.set_name, label].append((float(dice(mask, truth)),))
    return _means(rows, ("dice",))


def mean_boxes(pictures: Sequence[LabelledPicture]) -> dict[str, NDArray[np.float64]]:
    """Mean bounding box of each label: left, top, right, bottom as shares of the picture."""
    found: dict[str, list[list[float]]] = defaultdict(list)
    for picture in pictures:
        for label in picture.present:
            rows, columns = np.nonzero(picture.truth(label))
            height, width = picture.labels.shape
            found[label].append(
                [
                    columns.min() / width,
                    rows.min() / height,
                    columns.max() / width,
                    rows.max() / height,
                ]
            )
    return {label: np.mean(boxes, 0) for label, boxes in found.items()}


def _in_square(box: NDArray[np.float64], inner: tuple[int, int]) -> Box:
    height, width = inner
    left, top, right, bottom = box * [width - 1, height - 1, width - 1, height - 1]
    return round(left), round(top), round(right), round(bottom)


def _means(rows: Mapping[Any, Sequence[Sequence[float]]], names: Sequence[str]) -> dict[str, float]:
    """Means over labels; none where nothing was asked."""
    if not rows:
        return {}
    means = np.mean([np.mean(group, 0) for group in rows.values()], 0)
    return {name: round(float(value), 4) for name, value in zip(names, means, strict=True)}


def _curve(found: Sequence[Any]) -> dict[str, Any]:
    if not found:
        return {"n": 0}
    dices, clicks = mean_over_labels(found)
    return {
        "n": len(found),
        "dice_after_clicks": [round(value, 4) for value in dices],
        "noc_85": round(clicks, 2),
    }


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Dice against clicks, and the other ways as points."""
    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    numbers = range(1, MOST_CLICKS + 1)
    for key, text in (
        ("annotator", "annotator's clicks, all targets"),
        ("annotator_without_tiny_and_thin", "... without tiny and thin ones"),
        ("annotator_tiny_and_thin", "... tiny and thin ones"),
        ("annotator_on_sets_left_out", "... sets never trained on"),
    ):
        if report[key]["n"]:
            label = f"{text} (n {report[key]['n']})"
            axes.plot(numbers, report[key]["dice_after_clicks"], marker="o", label=label)
    agent = report["ways"]["agent"]
    if agent["n"]:
        label = f"our agent, by itself (n {agent['n']})"
        axes.plot([agent["turns"]], [agent["dice"]], "k*", ms=12, label=label)
    for name, mark in (("constant click", "s"), ("random click", "x")):
        if "dice" in report["ways"][name]:
            axes.plot([1], [report["ways"][name]["dice"]], mark, color="grey", label=name)
    axes.set(xlabel="clicks", ylabel="Dice, mean over labels", ylim=(0, 1))
    axes.set_title("Held-back subjects")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    make_folder(path.parent)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _table(report: Mapping[str, Any]) -> Table:
    table = Table(title=f"{report['n']} questions, {report['labels']} labels, held-back subjects")
    for name in ("way", "first click hits", "Dice"):
        table.add_column(name, justify="left" if name == "way" else "right")
    for name, values in report["ways"].items():
        figures = (values.get("first_click_hits"), values.get("dice"))
        table.add_row(name, *("-" if one is None else f"{one:.2f}" for one in figures))
    never, refused = report["never_there"], report["ways"]["agent"]["refused"]
    remarks = []
    if refused:
        remarks.append(f"The agent has not learnt {refused} of the names and was not asked.")
    if never["n"]:
        remarks.append(
            f"Of {never['n']} questions for what such pictures never show, "
            f"{never['recognised']:.0%} were recognised."
        )
    table.caption = " ".join(remarks)
    for key, text in (
        ("annotator", "annotator"),
        ("annotator_on_sets_left_out", "annotator, sets never trained on"),
    ):
        if report[key]["n"]:
            dices = report[key]["dice_after_clicks"]
            shown = " / ".join(f"{dices[n]:.2f}" for n in (0, 2, 4, 7))
            table.add_row(f"{text}, 1 / 3 / 5 / 8 clicks", "-", shown)
    return table


if __name__ == "__main__":
    sys.exit(main())
