"""Measures ways of running a policy: ``make bench-policies``.

Writes ``docs/results/policies.json``. Without ``--policy`` an untrained checkpoint of the embedded
one's size writes replies of a fixed length, so that any machine can measure the ratios: batched to
one by one, served to local, our loop to the published one, the common prefix of the prompts and,
with history, the earlier turns kept or looked at anew, the tool's embeddings kept or made anew, one
by one or together. On a CPU ratios are of the processor's own
seconds, which other programs do not lengthen; those with a served policy are by the clock.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil
import torch
from rich.console import Console
from rich.progress import track
from transformers.utils.import_utils import is_serve_available

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from harness.fake_tool import DiscTool  # noqa: E402
from harness.reference_loop import ask  # noqa: E402
from harness.transformers_serve import transformers_serve  # noqa: E402

from benchmarks.embeddings import measure_embeddings, measure_together  # noqa: E402
from benchmarks.history import measure_history  # noqa: E402
from benchmarks.pictures import picture  # noqa: E402
from benchmarks.timing import Times  # noqa: E402
from ibisagent import __version__  # noqa: E402
from ibisagent.episode import Episode  # noqa: E402
from ibisagent.errors import IBISAgentError  # noqa: E402
from ibisagent.machine import machine_facts  # noqa: E402
from ibisagent.output import make_folder, write_whole  # noqa: E402
from ibisagent.policies.base import Observation, Policy  # noqa: E402
from ibisagent.policies.endpoint import EndpointPolicy  # noqa: E402
from ibisagent.policies.local import LocalPolicy  # noqa: E402
from ibisagent.prompts import PromptProfile, load_profile  # noqa: E402
from ibistrain.tiny import build  # noqa: E402

RESULTS = ROOT / "docs" / "results" / "policies.json"
SLICES = 8
TOKENS = 48
"""Length of a reply: about a sentence of thought and an action."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; the exit code is 0, or 1 where something is missing."""
    options = _parse(arguments)
    console = Console(highlight=False)
    torch.set_num_threads(options.threads)
    load = psutil.getloadavg()[0]
    try:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = options.policy or str(_write_checkpoint(Path(folder) / "untrained"))
            report = _report(options, load, _measure(checkpoint, options))
        make_folder(options.out.parent)
        write_whole(options.out, (json.dumps(report, indent=1) + "\n").encode("utf-8"))
    except IBISAgentError as error:
        Console(stderr=True, highlight=False).print(f"bench: {error}", style="red", markup=False)
        return 1
    console.print_json(data=report["results"])
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/policies.py", description=__doc__)
    parser.add_argument("--policy", help="checkpoint folder or hub name; none for an untrained one")
    parser.add_argument("--tool", default="embedded", help="whose embeddings are measured")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of torch, on a CPU")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file for the figures")
    return parser.parse_args(arguments)


def _measure(checkpoint: str, options: argparse.Namespace) -> dict[str, Any]:
    memory = {"at_start": _memory(options.device)}
    policy = LocalPolicy(checkpoint, options.device, max_new_tokens=TOKENS)
    anew = LocalPolicy(checkpoint, options.device, max_new_tokens=TOKENS, reuse_prefix=False)
    memory["loaded"] = _memory(options.device)
    profile = policy.profile or load_profile()

    alone, batched, without, reference = Times(), Times(), Times(), Times()
    for repeat in track(range(-1, options.repeats), "Measuring", transient=True):
        seen = _observations(profile, repeat)
        _one_by_one(policy, seen, alone)
        memory.setdefault("one_by_one", _memory(options.device))
        _one_by_one(anew, seen, without)
        _as_published(policy, seen, reference)
        with batched.measure():
            policy.replies(seen)
        memory.setdefault("batched", _memory(options.device))
        if repeat < 0:  # the first round pays for what is set up once
            for times in (alone, batched, without, reference):
                times.seconds.clear()
                times.cpu.clear()
    slow, fast, plain, theirs = (
        times.pace(options.device) for times in (alone, batched, without, reference)
    )
    return {
        "seconds_a_turn_one_by_one": alone.as_json(),
        f"seconds_for_{SLICES}_turns_at_once": batched.as_json(),
        "local_turns_per_second_one_by_one": round(1 / alone.median, 2),
        f"local_turns_per_second_{SLICES}_at_once": round(SLICES / batched.median, 2),
        "speedup_of_batching": round(SLICES * slow / fast, 2),
        "speedup_of_prefix_reuse": round(plain / slow, 3),
        "speedup_over_the_published_loop_one_by_one": round(theirs / slow, 2),
        f"speedup_over_the_published_loop_{SLICES}_at_once": round(SLICES * theirs / fast, 2),
        "earlier_turns_with_history": measure_history(
            policy, anew, profile, options.repeats, options.device
        ),
        "embedding_cache": measure_embeddings(options.tool, options.device, options.repeats),
        "embeddings_together": measure_together(options.tool, options.device),
        "memory_mib": memory,
        "served": _measure_served(checkpoint, options, batched.median),
    }


def _one_by_one(policy: LocalPolicy, seen: Sequence[Observation], times: Times) -> None:
    for one in seen:
        with times.measure():
            policy.replies([one])


def _measure_served(checkpoint: str, options: argparse.Namespace, local: float) -> Any:
    """Seconds of the same replies from `transformers serve` on this machine's CPU."""
    if not is_serve_available():
        return "not measured: the packages of transformers serve (openai) are not installed"
    if options.device != "cpu" or not Path(checkpoint).is_dir():
        return "not measured: transformers serve is started for a folder on a CPU only"
    alone, together = Times(), Times()
    with transformers_serve(Path(checkpoint)) as address:
        policy: Policy = EndpointPolicy(address, max_new_tokens=TOKENS)
        for repeat in range(-1, options.repeats):
            seen = _observations(load_profile(), repeat)
            with alone.measure():
                for one in seen:
                    policy.replies([one])
            with together.measure():
                policy.replies(seen)
        for times in (alone, together):
            times.seconds.pop(0)
    return {
        "server": "transformers serve, no continuous batching",
        "turns_per_second_one_by_one": round(SLICES / alone.median, 2),
        f"turns_per_second_{SLICES}_at_once": round(SLICES / together.median, 2),
        "local_batched_to_served": round(together.median / local, 2),
    }


def _as_published(policy: LocalPolicy, seen: Sequence[Observation], times: Times) -> None:
    for one in seen:
        system, user = one.messages[0]["content"][0]["text"], one.messages[-1]["content"][-1]
        picture = one.pictures[-1]
        with times.measure():
            ask(policy._model, policy._processor, picture, system, user["text"], TOKENS)


def _observations(profile: PromptProfile, repeat: int) -> list[Observation]:
    return [
        Episode(picture(repeat * SLICES + index + 100), "liver", DiscTool(), profile).observe()
        for index in range(SLICES)
    ]


def _write_checkpoint(folder: Path) -> Path:
    """Untrained, of the embedded checkpoint's size; its replies are noise of fixed length."""
    profile = load_profile()
    build(folder, [profile.system, profile.first, profile.refine])
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings |= {"min_new_tokens": TOKENS, "max_new_tokens": TOKENS}
    path.write_text(json.dumps(settings), encoding="utf-8")
    return folder


def _memory(device: str) -> int:
    """MiB: the most a GPU has held so far, else what the process holds now."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated() / 2**20)
    return int(psutil.Process().memory_info().rss / 2**20)


def _report(options: argparse.Namespace, load: float, results: dict[str, Any]) -> dict[str, Any]:
    named = Path(options.policy).name if options.policy else "untrained, size of the embedded one"
    return {
        "command": "make bench-policies",
        "version": __version__,
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "policy": named,
        "setting": {
            "device": options.device,
            "threads": options.threads,
            "slices": SLICES,
            "tokens_a_reply": TOKENS,
            "repeats": options.repeats,
        },
        "machine": {**machine_facts(), "load_before": round(load, 1)},
        "results": results,
    }


if __name__ == "__main__":
    sys.exit(main())
