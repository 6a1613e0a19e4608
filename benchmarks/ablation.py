"""What each stage of training and each reward is good for: ``make bench-proof``.

Arms: a base checkpoint that knows first clicks only; fine-tuned on plain episodes; on episodes
with reflection; reinforcement learning from the base; and after each kind of fine-tuning. With
``--rewards``: the rewards of the last arm added one at a time. Every arm answers the same
questions on held-back subjects of a drawn world (`benchmarks.phantoms`). Finished arms are kept
in the work folder; a rerun goes on. Writes ``docs/results/ablation.json`` or ``rewards.json`` and
a table in ``docs/proof.md``.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import proof_report as report  # noqa: E402
from benchmarks.proof_world import (  # noqa: E402
    FULL,
    GOOD,
    MAX_TURNS,
    QUICK,
    REPLY_TOKENS,
    Outcome,
    World,
    annotator_outcome,
    ask_checkpoint,
    imitation,
)
from ibisagent.errors import IBISAgentError  # noqa: E402
from ibisagent.prompts import load_profile  # noqa: E402
from ibistrain.rewards import RewardWeights  # noqa: E402
from ibistrain.rl_config import RlConfig  # noqa: E402
from ibistrain.states import read_states  # noqa: E402

QUIET = {"disable_tqdm": True, "report_to": "none", "save_strategy": "no"}
RL_OPTIONS = {
    "lr_scheduler_type": "cosine",
    # By groups, polishing would weigh as much as giving up at the first turn.
    "scale_rewards": "batch",
}
NOTE = "Base and fine-tuning are trained once (seed 0); seeds are of reinforcement learning."

Arm = Callable[[World, int], Path]
"""Trains a checkpoint with a seed, or finds it trained."""

FIGURES = ("iou", "dice", "f1", "turns", "good_stops")
COLUMNS = ("IoU", "Dice", "F1", "turns", "good stops")


@dataclass(frozen=True)
class Study:
    """Arms that are compared.

    Attributes:
        mark: Of the table in the page, and name of the JSON file.
        arms: Name -> how to get its checkpoint.
        before: The arm that reinforcement learning starts from.
        after: The arm that it makes of it.
    """

    mark: str
    arms: Mapping[str, Arm]
    before: str
    after: str


def base(world: World, seed: int) -> Path:
    """The checkpoint that every arm starts from; the same for all seeds."""
    return world.base


def sft(world: World, reflection: bool, seed: int = 0) -> Path:
    """Fine-tuned on the states of simulated episodes, with first turns mixed in."""
    out = world.folder / f"sft-{'reflection' if reflection else 'plain'}-{seed}"
    if is_trained(out):
        return out / "model"
    pictures = world.pictures(held_back=False)
    states = read_states(world.episodes(seed, reflection), {p.name: p for p in pictures})
    size = world.size
    config = imitation(
        steps=size.sft_steps,
        batch=size.sft_batch,
        learning_rate=size.sft_rate,
        refinement=size.sft_refinement,
        seed=seed,
    )
    return world.teach(world.base, fresh(out), pictures, states, config)


def plain(world: World, seed: int) -> Path:
    """Fine-tuned without reflection; the same for all seeds."""
    return sft(world, reflection=False)


def reflecting(world: World, seed: int) -> Path:
    """Fine-tuned with reflection; the same for all seeds."""
    return sft(world, reflection=True)


SHARED = (base, plain, reflecting)
"""Arms that are trained once: seeds are of reinforcement learning."""


def reinforced(world: World, seed: int, start: Path, name: str, weights: RewardWeights) -> Path:
    """Reinforced from a checkpoint."""
    from ibistrain.rl import rl  # TRL loads slowly

    out = world.folder / f"rl-{name}-{seed}"
    if is_trained(out):
        return out / "model"
    size = world.size
    return rl(
        RlConfig(
            model=str(start),
            out=fresh(out),
            data=world.data,
            steps=size.rl_steps,
            states=size.rl_states,
            group=size.rl_group,
            learning_rate=size.rl_rate,
            fresh=size.rl_fresh,
            ahead=size.rl_ahead,
            beta=size.rl_beta,
            temperature=size.rl_temperature,
            reply_tokens=REPLY_TOKENS,
            max_turns=MAX_TURNS,
            rewards=weights,
            train_vision=True,
            log_every=1,
            seed=seed,
            trl=QUIET | RL_OPTIONS | {"warmup_steps": size.rl_warmup},
        ),
        tasks=world.training_tasks,
        tool=world.tool,
    )


def stages() -> Study:
    """The stages of training, as in the paper's table."""

    def after(fine_tuned: Arm, name: str) -> Arm:
        return lambda world, seed: reinforced(
            world, seed, fine_tuned(world, seed), name, world.weights
        )

    arms = {
        "base": base,
        "SFT": plain,
        "SFT + reflection": reflecting,
        "RL only": after(base, "base"),
        "SFT + reflection + RL": after(reflecting, "all"),
    }
    return Study("ablation", arms, "SFT + reflection", "SFT + reflection + RL")


def added_rewards(good: float = GOOD) -> dict[str, RewardWeights]:
    """The rewards, each row with one more."""
    full = RewardWeights(good=good)
    none = {"click": 0.0, "progress": 0.0, "length": 0.0}
    return {
        "format + answer": full.model_copy(update=none),
        "+ click": full.model_copy(update={"progress": 0.0, "length": 0.0}),
        "+ progress": full.model_copy(update={"length": 0.0}),
        "+ length (all)": full,
    }


def rewards() -> Study:
    """The rewards, one more a row, from the checkpoint fine-tuned with reflection."""

    def arm(name: str, weights: RewardWeights) -> Arm:
        return lambda world, seed: reinforced(world, seed, reflecting(world, seed), name, weights)

    folders = ("answer", "click", "progress", "all")
    pairs = zip(folders, added_rewards().items(), strict=True)
    arms: dict[str, Arm] = {name: arm(folder, weights) for folder, (name, weights) in pairs}
    start = "no RL (SFT + reflection)"
    return Study("rewards", {start: reflecting, **arms}, start, "+ length (all)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, judge, print and write; the exit code is 1 where something could not be done."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    world = World(options.folder, QUICK if options.quick else FULL)
    study = rewards() if options.rewards else stages()
    console = Console(highlight=False)
    try:
        measure(study, world, options, console)
    except IBISAgentError as error:
        Console(stderr=True, highlight=False).print(f"bench: {error}", style="red", markup=False)
        return 1
    return 0


def measure(study: Study, world: World, options: argparse.Namespace, console: Console) -> None:
    """Every seed of every arm; the report is written after each, so that it can be read early."""
    rows: dict[str, dict[int, report.Row]] = {name: {} for name in study.arms}
    for seed in options.seeds:
        for name, arm in study.arms.items():
            if arm in SHARED and seed != options.seeds[0]:
                continue
            kept = report.read_row(world.folder / "rows", _key(study, name, seed))
            if kept is None and name not in (options.arms or study.arms):
                continue
            rows[name][seed] = row = kept or _row(study, name, arm, world, seed)
            values = Outcome.model_validate(row["values"])
            console.print(f"{study.mark} / {name} / seed {seed}: {values}", markup=False)
            found = _report(study, world, rows)
            report.write_report(found, options.out / f"{study.mark}.json")
            report.put_table(options.page, f"benchmarks/ablation.py {study.mark}", table(found))


def _row(study: Study, name: str, arm: Arm, world: World, seed: int) -> report.Row:
    began = time.process_time()
    model = arm(world, seed)
    trained = time.process_time()
    values = ask_checkpoint(model, world, world.questions)
    seconds = {"training": trained - began, "judging": time.process_time() - trained}
    row = {
        "arm": name,
        "seed": seed,
        "values": values.model_dump(),
        "cpu_seconds": {part: round(value, 1) for part, value in seconds.items()},
    }
    return report.keep_row(world.folder / "rows", _key(study, name, seed), row)


def _key(study: Study, name: str, seed: int) -> str:
    words = "".join(c if c.isalnum() else " " for c in name).lower().split()
    return f"{study.mark}-{'-'.join(words)}-{seed}"


def _report(
    study: Study, world: World, rows: Mapping[str, Mapping[int, report.Row]]
) -> dict[str, Any]:
    values = {
        name: report.over_seeds([row["values"] for row in found.values()])
        | {"seeds": sorted(found)}
        for name, found in rows.items()
        if found
    }
    seeds = {seed for found in rows.values() for seed in found}
    flag = " --rewards" if study.mark == "rewards" else ""
    weights = {name: one.model_dump() for name, one in added_rewards().items()}
    setting = world.size.model_dump() | {
        "good": GOOD,
        "max_turns": MAX_TURNS,
        "trl": RL_OPTIONS,
        "rewards": weights if flag else world.weights.model_dump(),
        "held_back_subjects": len(world.held_back),
    }
    bound = annotator_outcome(world, world.questions, load_profile())
    return {
        **report.head(f"benchmarks/ablation.py{flag}", seeds, len(world.questions), setting),
        "note": NOTE,
        "values": values,
        "annotator": bound.model_dump(),
        "rl_against_start": _gains(study, rows),
        "rows": [row for found in rows.values() for row in found.values()],
    }


def _gains(
    study: Study, rows: Mapping[str, Mapping[int, report.Row]]
) -> dict[str, dict[str, float]]:
    """What reinforcement learning changed against its start, which all seeds share."""
    for row in rows[study.before].values():
        start = row["values"]
        ends = [after["values"] for after in rows[study.after].values()]
        return report.over_seeds([{n: end[n] - start[n] for n in FIGURES} for end in ends])
    return {}


def table(found: Mapping[str, Any]) -> str:
    """The figures as a table of the page."""
    rows = [
        [
            name,
            *(report.plus_minus(values[figure]) for figure in FIGURES),
            str(len(values["seeds"])),
        ]
        for name, values in found["values"].items()
    ]
    bound = found["annotator"]
    rows.append(["annotator who knows the truth", *(f"{bound[f]:.2f}" for f in FIGURES), "-"])
    return report.markdown(("arm", *COLUMNS, "seeds"), rows)


def is_trained(out: Path) -> bool:
    return any((out / "model").glob("*.safetensors"))


def fresh(out: Path) -> Path:
    """The folder of a run that keeps no checkpoints: what a kill left is of no use."""
    shutil.rmtree(out, ignore_errors=True)
    return out


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/ablation.py", description=__doc__)
    parser.add_argument("--rewards", action="store_true", help="the rewards, one at a time")
    parser.add_argument("--arms", nargs="+", help="train these only; finished ones are shown too")
    report.add_options(parser)
    return report.settle(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
