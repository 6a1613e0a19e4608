"""Measures the speed of training on this machine: ``make bench-training``.

Simulated trajectories a second; fine-tuning samples a second; episodes of reinforcement learning
a second with the shares of policy, tool and environment; batched against one by one. Writes
``docs/results/training_speed.json``. Seconds depend on the machine, ratios and shares hardly do.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from random import Random
from typing import Any

import psutil
import torch
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ibisagent import __version__  # noqa: E402
from ibisagent.episode import Episode, Limits, run  # noqa: E402
from ibisagent.errors import IBISAgentError  # noqa: E402
from ibisagent.machine import machine_facts  # noqa: E402
from ibisagent.output import make_folder, write_whole  # noqa: E402
from ibisagent.policies.local import LocalPolicy  # noqa: E402
from ibisagent.tools import load_tool  # noqa: E402
from ibisagent.tools.base import SegmentationTool  # noqa: E402
from ibistrain.catalogue import load_catalogue  # noqa: E402
from ibistrain.corpus import load_corpus  # noqa: E402
from ibistrain.play_tasks import judge  # noqa: E402
from ibistrain.rewards import RewardWeights  # noqa: E402
from ibistrain.rl_config import RlConfig  # noqa: E402
from ibistrain.sft_config import SftConfig  # noqa: E402
from ibistrain.simulation.run import simulate  # noqa: E402
from ibistrain.simulation.settings import SimulationSettings  # noqa: E402
from ibistrain.start_model import start_folder  # noqa: E402
from ibistrain.tasks import PictureTasks, Task  # noqa: E402

RESULTS = ROOT / "docs" / "results" / "training_speed.json"
DATA = Path(os.environ.get("IBISAGENT_DATA", ROOT.parent / "shared" / "data"))
BATCH = 8
MAX_TURNS = 4
STEPS = 4
"""Optimiser steps; the first one, which also warms up, is not counted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; the exit code is 1 where something could not be measured."""
    parser = argparse.ArgumentParser(prog="benchmarks/training.py", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of labelled sets")
    parser.add_argument("--set", default="us_breast_busbra", help="the set to measure on")
    parser.add_argument("--policy", default="embedded", help="checkpoint to train")
    parser.add_argument("--tool", default="embedded", help="segmentation tool")
    parser.add_argument("--episodes", type=int, default=8, help="episodes to simulate and to play")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file for the figures")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    load = psutil.getloadavg()[0]
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            results = _measure(options, Path(folder))
        make_folder(options.out.parent)
        report = _report(options, load, results)
        write_whole(options.out, (json.dumps(report, indent=1) + "\n").encode("utf-8"))
    except IBISAgentError as error:
        Console(stderr=True, highlight=False).print(f"bench: {error}", style="red", markup=False)
        return 1
    console.print_json(json.dumps(results))
    return 0


def _measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    tool = load_tool(options.tool)
    pictures = load_corpus(options.data, load_catalogue(), sets=[options.set])
    tasks = PictureTasks(pictures, {}, absent=0.0)
    drawn = [tasks.draw(Random(seed)) for seed in range(options.episodes)]
    return {
        "simulation": _simulation(options, tool, folder),
        "sft": _sft(options, folder),
        "rollouts": _rollouts(options, tool, drawn),
        "rl": _rl(options, tool, tasks, folder),
    }


def _simulation(
    options: argparse.Namespace, tool: SegmentationTool, folder: Path
) -> dict[str, Any]:
    settings = SimulationSettings(sets=(options.set,), episodes=options.episodes)
    began = time.perf_counter()
    made = simulate(options.data, folder / "episodes", settings, tool).episodes
    seconds = time.perf_counter() - began
    return {"trajectories_per_second": round(made / seconds, 3), "n": made}


def _sft(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    rates = {
        f"samples_per_second_batch_{size}": _sft_rate(options, folder, size) for size in (BATCH, 1)
    }
    batched, single = rates.values()
    rates["batched_to_one_by_one"] = batched / single
    return {name: round(value, 3) for name, value in rates.items()} | {"steps": STEPS - 1}


def _sft_rate(options: argparse.Namespace, folder: Path, at_once: int) -> float:
    from ibistrain.sft import sft  # TRL loads slowly

    config = SftConfig(
        model=options.policy,
        out=folder / f"sft-{at_once}",
        episodes=folder / "episodes",
        data=options.data,
        steps=STEPS,
        batch=BATCH,
        at_once=at_once,
        train_vision=True,
        log_every=1,
        trl={"disable_tqdm": True, "report_to": "none", "save_strategy": "no"},
    )
    times: list[float] = []
    sft(config, on_log=lambda row: times.append(time.perf_counter()) if "loss" in row else None)
    return BATCH * (STEPS - 1) / (times[-1] - times[0])


def _rollouts(
    options: argparse.Namespace, tool: SegmentationTool, tasks: Sequence[Task]
) -> dict[str, Any]:
    folder = start_folder(options.policy, Path())
    policy = LocalPolicy(folder, temperature=1.0)
    for task in tasks:
        tool.set_image(task.rgb)  # embeddings are cached: groups act on the same pictures
    batched = _played(policy, tool, [tasks])
    single = _played(policy, tool, [[task] for task in tasks])
    rate = "policy_turns_per_second"  # episodes differ in length, as replies are drawn
    return {
        "batched": batched,
        "one_by_one": single,
        "policy_batched_to_one_by_one": round(batched[rate] / single[rate], 3),
        "max_turns": MAX_TURNS,
    }


def _played(
    policy: LocalPolicy, tool: SegmentationTool, groups: Sequence[Sequence[Task]]
) -> dict[str, Any]:
    began, episodes, turns = time.perf_counter(), 0, 0
    policy_seconds = tool_seconds = 0.0
    for group in groups:
        played = [
            Episode(task.rgb, task.prompt, tool, policy.profile, Limits(max_steps=MAX_TURNS))
            for task in group
        ]
        run(played, policy)
        judge(played, group, RewardWeights())
        steps = [step for episode in played for step in episode.steps]
        policy_seconds += sum(step.policy_seconds for step in steps)
        tool_seconds += sum(step.tool_seconds for step in steps)
        episodes, turns = episodes + len(played), turns + len(steps)
    seconds = time.perf_counter() - began
    shares = {"policy": policy_seconds, "tool": tool_seconds}
    shares["environment"] = seconds - sum(shares.values())
    return {
        "episodes_per_second": round(episodes / seconds, 3),
        "policy_turns_per_second": round(turns / policy_seconds, 3),
        "shares": {name: round(part / seconds, 4) for name, part in shares.items()},
        "n": episodes,
        "turns": turns,
    }


def _rl(
    options: argparse.Namespace, tool: SegmentationTool, tasks: PictureTasks, folder: Path
) -> dict[str, Any]:
    from ibistrain.rl import rl

    config = RlConfig(
        model=options.policy,
        out=folder / "rl",
        data=options.data,
        steps=STEPS,
        group=4,
        states=2,
        reply_tokens=96,
        max_turns=MAX_TURNS,
        train_vision=True,
        log_every=1,
        save_every=STEPS + 1,
        trl={"disable_tqdm": True, "report_to": "none", "save_strategy": "no"},
    )
    times: list[float] = []
    rl(
        config,
        lambda row: times.append(time.perf_counter()) if "reward" in row else None,
        tasks=tasks,
        tool=tool,
    )
    rate = config.samples * (STEPS - 1) / (times[-1] - times[0])
    return {"actions_per_second_with_learning": round(rate, 3), "steps": STEPS - 1}


def _report(options: argparse.Namespace, load: float, results: dict[str, Any]) -> dict[str, Any]:
    return {
        "command": f"benchmarks/training.py --set {options.set} --episodes {options.episodes}",
        "version": __version__,
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "setting": {
            "set": options.set,
            "policy": Path(options.policy).name,
            "tool": options.tool,
            "episodes": options.episodes,
            "threads": 1,
            "seed": 0,
        },
        "machine": machine_facts() | {"load_before": round(load, 1)},
        "results": results,
    }


if __name__ == "__main__":
    sys.exit(main())
