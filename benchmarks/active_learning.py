"""Dice against accepted studies: least sure first, or at random; ``make bench-proof``.

A clinic's studies come from two devices, one of which the agent has not seen: its pictures are
inverted. Studies are accepted a few at a time, in the order of `ibisagent.uncertainty` (which the
server's strategy ``ibisagent_uncertainty`` asks) or at random; after each batch the agent is
fine-tuned on all that were accepted, and judged on the clinic's held-back subjects. It starts
from the ablation's checkpoint of the same seed. Writes ``docs/results/active_learning.json``, a
table in ``docs/proof.md`` and ``docs/pictures/active_learning.png``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import matplotlib as mpl
import torch
from rich.console import Console

mpl.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import proof_report as report  # noqa: E402
from benchmarks.ablation import fresh, sft  # noqa: E402
from benchmarks.phantoms import MIXED  # noqa: E402
from benchmarks.proof_world import (  # noqa: E402
    FULL,
    GOOD,
    MAX_TURNS,
    QUESTIONS_SEED,
    QUICK,
    REPLY_TOKENS,
    World,
    ask_checkpoint,
    imitation,
)
from ibisagent.agent import Agent  # noqa: E402
from ibisagent.errors import IBISAgentError  # noqa: E402
from ibisagent.output import make_folder, write_whole  # noqa: E402
from ibisagent.policies.local import LocalPolicy  # noqa: E402
from ibisagent.uncertainty import Sampling, uncertainty  # noqa: E402
from ibisagent.volume import read_image  # noqa: E402
from ibistrain.catalogue import Catalogue, SetEntry  # noqa: E402
from ibistrain.labelled_picture import LabelledPicture  # noqa: E402
from ibistrain.play_tasks import draw_tasks  # noqa: E402
from ibistrain.simulation.run import simulate  # noqa: E402
from ibistrain.simulation.settings import Shares, SimulationSettings  # noqa: E402
from ibistrain.states import read_states  # noqa: E402
from ibistrain.tasks import PictureTasks, Task  # noqa: E402

PLOT = ROOT / "docs" / "pictures" / "active_learning.png"
TARGET = "liver"
"""What the strategy asks the agent for; the studies are labelled as a whole."""
STRATEGIES = ("uncertainty", "random")
SAMPLING = Sampling(samples=3, slices=2, max_steps=4)
"""As the server's strategy sets it."""


@dataclass(frozen=True)
class Plan:
    """How much is accepted and learnt.

    Attributes:
        subjects: Studies of the clinic, a quarter of which is held back.
        pool: Studies that may be accepted, drawn by the seed.
        accepted: How many are, at each point of the curve.
        questions: On held-back subjects.
        steps: Optimiser steps of each fine-tuning.
        batch: Pictures a step.
        rate: Highest learning rate.
    """

    subjects: int = 220
    pool: int = 24
    accepted: tuple[int, ...] = (0, 4, 8, 16)
    questions: int = 100
    steps: int = 25
    batch: int = 8
    rate: float = 4e-4


FULL_PLAN = Plan()
QUICK_PLAN = Plan(subjects=12, pool=3, accepted=(0, 1, 2), questions=4, steps=1, batch=2)


@dataclass(frozen=True)
class Clinic:
    """The studies of one seed.

    Args:
        world: Tool and start.
        plan: How much of everything.
        seed: Of pool, simulation and training.
    """

    world: World
    plan: Plan
    seed: int

    @property
    def root(self) -> Path:
        """Root of the labelled sets."""
        return self.world.add_set(MIXED, self.plan.subjects)

    def pool(self) -> list[str]:
        """Subjects that may be accepted: of the training side, those that show the target."""
        shown = sorted(p.subject for p in self._training if TARGET in p.present)
        return Random(f"{self.seed}/pool").sample(shown, min(self.plan.pool, len(shown)))

    @cached_property
    def questions(self) -> list[Task]:
        """What is asked of held-back subjects; the same for every seed."""
        source = PictureTasks(self._pictures(held_back=True), {}, absent=0.0)
        return draw_tasks(source, self.plan.questions, QUESTIONS_SEED)

    def ordered(self, model: Path, subjects: Sequence[str]) -> list[str]:
        """Subjects, least sure first."""
        policy = LocalPolicy(model, "cpu", max_new_tokens=REPLY_TOKENS)
        agent = Agent(policy, self.world.tool, policy.profile)
        doubts = {
            subject: uncertainty(
                read_image(self._image(subject)),
                f"the {TARGET}",
                agent,
                seed=self.seed,
                sampling=SAMPLING,
            )
            for subject in subjects
        }
        return sorted(subjects, key=lambda subject: -doubts[subject])

    def tuned(self, name: str, start: Path, subjects: Sequence[str]) -> Path:
        """The start, fine-tuned on accepted studies and on episodes simulated on them."""
        folder = fresh(self.world.folder / "active" / name)
        data = self._accepted(folder / "data", subjects)
        settings = SimulationSettings(
            shares=Shares(self_correction=0.2, user_inconsistency=0.0, absent=0.0, question=0.0),
            stop_iou=GOOD,
            max_clicks=MAX_TURNS - 1,
            seed=self.seed,
        )
        simulate(data, folder / "episodes", settings, self.world.tool, _catalogue())
        pictures = [p for p in self._training if p.subject in subjects]
        states = read_states(folder / "episodes", {p.name: p for p in pictures})
        config = imitation(
            steps=self.plan.steps,
            batch=self.plan.batch,
            learning_rate=self.plan.rate,
            refinement=1.0,
            seed=self.seed,
        )
        return self.world.teach(start, folder / "run", pictures, states, config)

    def share_of_new_device(self, subjects: Sequence[str]) -> float:
        """Share of subjects whose pictures are inverted: they are bright at the border."""
        bright = [p.rgb[0].mean() > 127 for p in self._training if p.subject in subjects]
        return sum(bright) / len(bright) if bright else 0.0

    @cached_property
    def _training(self) -> list[LabelledPicture]:
        return self._pictures(held_back=False)

    def _pictures(self, held_back: bool) -> list[LabelledPicture]:
        self.world.add_set(MIXED, self.plan.subjects)
        return self.world.pictures(held_back, MIXED)

    def _image(self, subject: str) -> Path:
        return self.root / MIXED.name / f"{subject}.png"

    def _accepted(self, folder: Path, subjects: Sequence[str]) -> Path:
        """A labelled set of the accepted studies only."""
        make_folder(folder)
        manifest = json.loads((self.root / MIXED.name / "manifest.json").read_text("utf-8"))
        there = Path(os.path.relpath(self.root / MIXED.name, folder))
        items = [
            {
                **item,
                "image": (there / item["image"]).as_posix(),
                "label": (there / item["label"]).as_posix(),
            }
            for item in manifest["items"]
            if item["subject"] in subjects
        ]
        text = json.dumps({**manifest, "items": items})
        write_whole(folder / "manifest.json", text.encode("utf-8"))
        return folder


def _catalogue() -> Catalogue:
    return Catalogue(sets={MIXED.name: SetEntry()}, synonyms={})


def curve(clinic: Clinic, strategy: str) -> list[report.Row]:
    """The points of one strategy and seed; those that stand in the work folder are kept."""
    folder, seed = clinic.world.folder / "rows", clinic.seed
    start = sft(clinic.world, reflection=True)
    left, model = clinic.pool(), start
    accepted: list[str] = []
    rows: list[report.Row] = []
    for count in clinic.plan.accepted:
        name = f"active-{strategy}-{count}-{seed}" if count else "active-start"
        kept = report.read_row(folder, name)
        if kept is None:
            began = time.process_time()
            wanted = count - len(accepted)
            if strategy == "uncertainty" and wanted:
                left = clinic.ordered(model, left)
            accepted += left[:wanted]
            if accepted:
                model = clinic.tuned(name, start, accepted)
            kept = report.keep_row(folder, name, _point(clinic, name, model, accepted, began))
        accepted = list(kept["accepted"])
        left = [subject for subject in left if subject not in accepted]
        model = clinic.world.folder / "active" / name / "run" / "model" if count else start
        rows.append({**kept, "strategy": strategy, "count": count})
    return rows


def _point(
    clinic: Clinic, name: str, model: Path, accepted: Sequence[str], began: float
) -> report.Row:
    values = ask_checkpoint(model, clinic.world, clinic.questions)
    return {
        "name": name,
        "seed": clinic.seed,
        "accepted": list(accepted),
        "new_device": round(clinic.share_of_new_device(accepted), 4),
        "values": values.model_dump(),
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Accept, train, judge, print, write and draw; the exit code is 1 where something failed."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    world = World(options.folder, QUICK if options.quick else FULL)
    plan = QUICK_PLAN if options.quick else FULL_PLAN
    console = Console(highlight=False)
    rows: list[report.Row] = []
    try:
        for seed in options.seeds:
            clinic = Clinic(world, plan, seed)
            for strategy in STRATEGIES:
                rows += curve(clinic, strategy)
            found = _report(plan, rows, len(clinic.questions))
            report.write_report(found, options.out / "active_learning.json")
            report.put_table(options.page, "benchmarks/active_learning.py", table(found))
            draw(found, options.plot)
            console.print(f"seed {seed} done", markup=False)
    except IBISAgentError as error:
        Console(stderr=True, highlight=False).print(f"bench: {error}", style="red", markup=False)
        return 1
    return 0


def _report(plan: Plan, rows: Sequence[report.Row], n: int) -> dict[str, Any]:
    values: dict[str, dict[str, Any]] = {strategy: {} for strategy in STRATEGIES}
    for strategy in STRATEGIES:
        for count in plan.accepted:
            same = [r for r in rows if (r["strategy"], r["count"]) == (strategy, count)]
            figures = [{**r["values"], "new_device": r["new_device"]} for r in same]
            values[strategy][str(count)] = report.over_seeds(figures)
    setting = {**plan.__dict__, "target": TARGET, "good": GOOD, "max_turns": MAX_TURNS}
    setting |= {"sampling": SAMPLING.model_dump(mode="json"), "new_device": MIXED.inverted}
    seeds = {row["seed"] for row in rows}
    return {
        **report.head("benchmarks/active_learning.py", seeds, n, setting),
        "values": values,
        "rows": list(rows),
    }


def table(found: Mapping[str, Any]) -> str:
    """The curve as a table of the page."""
    counts = list(found["values"][STRATEGIES[0]])
    rows = [
        [
            count,
            *(report.plus_minus(found["values"][s][count]["dice"]) for s in STRATEGIES),
            *(f"{found['values'][s][count]['new_device']['mean']:.2f}" for s in STRATEGIES),
        ]
        for count in counts
    ]
    columns = ["accepted studies", *(f"Dice, {s}" for s in STRATEGIES)]
    columns += [f"of the new device, {s}" for s in STRATEGIES]
    return report.markdown(columns, rows)


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Dice against accepted studies, with a bar of one standard deviation."""
    figure, axes = plt.subplots(figsize=(6.0, 3.8), layout="constrained")
    texts = {"uncertainty": "least sure first", "random": "at random"}
    for strategy, mark, shift in zip(STRATEGIES, ("o-", "s--"), (-0.1, 0.1), strict=True):
        points = found["values"][strategy]
        counts = [int(count) + shift for count in points]
        means = [point["dice"]["mean"] for point in points.values()]
        spread = [point["dice"].get("sd", 0.0) for point in points.values()]
        axes.errorbar(counts, means, spread, fmt=mark, capsize=3, label=texts[strategy])
    seeds, n = len(found["seeds"]), found["n"]
    axes.set(xlabel="accepted studies", ylabel="Dice, held-back subjects")
    axes.set_title(f"Mean ± sd; seeds: {seeds}, questions: {n}", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    make_folder(path.parent)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/active_learning.py", description=__doc__)
    parser.add_argument("--plot", type=Path, help="PNG file for the curve")
    report.add_options(parser)
    options = report.settle(parser.parse_args(arguments))
    options.plot = options.plot or (options.folder / PLOT.name if options.quick else PLOT)
    return options


if __name__ == "__main__":
    sys.exit(main())
