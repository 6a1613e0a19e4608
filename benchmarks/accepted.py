"""What accepted studies teach the default policy: ``make bench-accepted``.

A target of a labelled set is given a name that the policy has not learnt, as if people had accepted
its masks under that name. The policy is trained as the server trains it (its default options; and
with adapters of low rank), and asked before and after: for the new name on held-back subjects, and
for what it knew on other sets, which tells what it forgets. The policy has seen the training
side of these pictures before, under another name; nobody it is asked about.

Writes ``docs/results/accepted.json``; a case that is measured anew replaces its rows only.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "monailabel_app")]

from ibisagent import __version__  # noqa: E402
from ibisagent.agent import Agent, load_agent  # noqa: E402
from ibisagent.errors import IBISAgentError  # noqa: E402
from ibisagent.evaluation import EvaluationSettings, evaluate  # noqa: E402
from ibisagent.evaluation_report import summarise  # noqa: E402
from ibisagent.machine import machine_facts  # noqa: E402
from ibisagent.manifest import Manifest, load_manifest  # noqa: E402
from ibisagent.output import write_whole  # noqa: E402
from ibisagent.policies import EMBEDDED, embedded_checkpoint  # noqa: E402
from ibisagent.prompts import load_profile  # noqa: E402
from ibisagent_app.training.options import TrainingOptions  # noqa: E402
from ibisagent_app.training.pipeline import simulation_settings  # noqa: E402
from ibisagent_app.training.run_folder import taught  # noqa: E402
from ibistrain.adapters import LoraSettings  # noqa: E402
from ibistrain.sft import sft  # noqa: E402
from ibistrain.sft_config import SftConfig  # noqa: E402
from ibistrain.simulation.run import simulate  # noqa: E402

RESULTS = ROOT / "docs" / "results" / "accepted.json"
CASES = {"us_fetal_head": "pod", "mr_heart_left_atrium": "chamber"}
"""Sets of one label, and the new name."""
OTHERS = ("us_breast_busbra", "us_carotid_ccaus", "ct_aorta", "mr_brain_tumour_brisc")
"""Sets whose targets the policy knows and is not taught."""
WAYS = {
    "default": TrainingOptions(),
    "lora_rank 8, learning_rate 0.001": TrainingOptions(lora_rank=8, learning_rate=1e-3),
}
QUESTIONS = EvaluationSettings(limit=24, seed=7, max_steps=6)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; the exit code is 0, or 1 where something is missing."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.WARNING)
    console = Console(highlight=False)
    try:
        for set_name in [options.only] if options.only else CASES:
            with tempfile.TemporaryDirectory() as folder:
                rows = []
                for row in measure(options.data, set_name, CASES[set_name], Path(folder)):
                    console.print_json(data=row)
                    rows.append(row)
            _write(options.out, rows)
    except IBISAgentError as error:
        Console(stderr=True, highlight=False).print(f"bench: {error}", style="red", markup=False)
        return 1
    return 0


def measure(data: Path, set_name: str, name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Rows of one set: before, then after each way of training.

    Args:
        data: Folder of labelled sets.
        set_name: One of them, of one label.
        name: What its label is called here.
        folder: For what is made on the way.
    """
    old = [load_manifest(data / other) for other in OTHERS]
    load_manifest(data / set_name)  # what is amiss with it is said of it, not of its copy
    new = [load_manifest(renamed(data / set_name, name, folder / "data" / set_name))]
    prompts = folder / "prompts.yaml"
    profile = taught(load_profile(embedded_checkpoint()), [name])
    prompts.write_text(profile.model_dump_json(), encoding="utf-8")  # JSON is YAML
    about = {"set": set_name, "name": name}
    yield {**about, "way": "before", **_asked(EMBEDDED, str(prompts), new, old, folder / "before")}
    settings = simulation_settings(TrainingOptions(), EMBEDDED, "cpu", prompts)
    here = settings.model_copy(update={"sets": (set_name,)})
    simulate(folder / "data", folder / "episodes", here)
    for number, (way, options) in enumerate(WAYS.items()):
        model = _trained(folder, options, folder / f"run-{number}")
        yield {**about, "way": way, **_asked(str(model), "", new, old, folder / f"after-{number}")}


def renamed(source: Path, name: str, place: Path) -> Path:
    """The set in another folder, its pictures linked, all its labels under one name."""
    place.mkdir(parents=True)
    content = json.loads((source / "manifest.json").read_text(encoding="utf-8"))
    content["labels"] = dict.fromkeys(content["labels"], name)
    (place / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    for part in source.iterdir():
        if part.name != "manifest.json":
            (place / part.name).symlink_to(part.resolve())
    return place


def _trained(folder: Path, options: TrainingOptions, run: Path) -> Path:
    """As `ibisagent_app.training.pipeline` fine-tunes."""
    rank = options.lora_rank
    config = SftConfig(
        model=EMBEDDED,
        out=run,
        episodes=folder / "episodes",
        data=folder / "data",
        prompts=str(folder / "prompts.yaml"),
        steps=options.max_steps,
        batch=options.batch_size,
        learning_rate=options.learning_rate,
        lora=LoraSettings(rank=rank, alpha=2 * rank) if rank else None,
        seed=options.seed,
        trl={"disable_tqdm": True},
    )
    return sft(config)


def _asked(
    policy: str, prompts: str, new: list[Manifest], old: list[Manifest], out: Path
) -> dict[str, Any]:
    agent = load_agent(policy, EMBEDDED, "cpu", prompts)
    return {
        what: _figures(manifests, agent, out / what)
        for what, manifests in (("new", new), ("known", old))
    }


def _figures(manifests: list[Manifest], agent: Agent, out: Path) -> dict[str, float]:
    _, rows = evaluate(manifests, QUESTIONS, agent, out)
    mean = summarise(rows).mean
    names = {"hit": "hit", "dice": "dice", "turns": "turns", "ends_by_itself": "stopped"}
    return {"n": len(rows), **{n: round(getattr(mean, field), 3) for n, field in names.items()}}


def _write(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    measured = {row["set"] for row in rows}
    kept = json.loads(out.read_text(encoding="utf-8"))["rows"] if out.is_file() else []
    report = {
        "command": "make bench-accepted",
        "version": __version__,
        "machine": machine_facts(),
        "questions": QUESTIONS.model_dump(mode="json"),
        "options": {way: options.model_dump(mode="json") for way, options in WAYS.items()},
        "rows": [*(row for row in kept if row["set"] not in measured), *rows],
    }
    write_whole(out, (json.dumps(report, indent=1) + "\n").encode("utf-8"))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks/accepted.py", description=__doc__.split("\n\n")[0]
    )
    data = os.environ.get("IBISAGENT_DATA", str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(data), help="folder of labelled sets")
    parser.add_argument("--only", choices=CASES, help="measure this set only")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file for the figures")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
