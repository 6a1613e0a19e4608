"""Measures runs on a real server: ``make bench-server``.

Prints a table and writes ``docs/results/server.json``. Seconds depend on the machine and on what
else it does, ratios hardly do; each pair of a ratio is measured in the same minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import requests
import SimpleITK as sitk
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.pictures import volume  # noqa: E402
from benchmarks.run_clients import Clients, Watcher, quantiles  # noqa: E402
from demo.server import APP, Server, ServerFailed  # noqa: E402
from demo.study import DEFAULT_PROMPT  # noqa: E402
from ibisagent import __version__  # noqa: E402
from ibisagent.errors import IBISAgentError  # noqa: E402
from ibisagent.machine import machine_facts  # noqa: E402
from ibisagent.output import make_folder, write_whole  # noqa: E402

RESULTS = ROOT / "docs" / "results" / "server.json"
AIMS = {
    "second_user_under_load_p95": "at most 0.2 s",
    "events_lost": "0",
    "failures": "none",
    "memory_growth_mib_per_100_runs": "about 0",
}
_MIB = 2**20


def main(arguments: Sequence[str] | None = None, app: Path = APP) -> int:
    """Measure, print and write; returns the exit code."""
    options, console = _parse(arguments), Console(highlight=False)
    load = psutil.getloadavg()[0]
    try:
        with tempfile.TemporaryDirectory(prefix="ibisagent-bench-") as name:
            folder = Path(name)
            _write_studies(folder / "studies", options.image)
            fresh = partial(_server, folder, app, dict(options.conf))
            with fresh("first") as server:
                results = _measure(server, options, console)
            if options.image:
                with console.status("Measuring a volume"):
                    results |= _volume(fresh, options)
        report = _report(options, load, results)
        make_folder(options.out.parent)
        write_whole(options.out, (json.dumps(report, indent=1) + "\n").encode("utf-8"))
    except (IBISAgentError, ServerFailed) as error:
        Console(stderr=True, highlight=False).print(f"bench: {error}", style="red", markup=False)
        return 1
    console.print(_table(results))
    return 0


def _server(folder: Path, app: Path, conf: dict[str, str], name: str) -> Server:
    """A server on the studies that knows no run and no embedding yet."""
    runs = {"runs": str(folder / f"runs-{name}")}
    return Server(folder / "studies", folder / f"server-{name}.log", app, runs | conf)


def _measure(server: Server, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    parts: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        ("events and a second user", lambda: _latency(server.url, options.prompt)),
        ("many clients", lambda: _many(server.url, options)),
        ("memory", lambda: _memory(server, options)),
    ]
    results: dict[str, Any] = {}
    for name, work in parts:
        with console.status(f"Measuring {name}"):
            results |= work()
    return results


def _latency(url: str, prompt: str) -> dict[str, Any]:
    """How old an event is when it arrives, and how long others wait meanwhile."""
    quiet = [_seconds(url, path) for _ in range(10) for path in ("/info/", "/ibisagent/info")]
    watcher = Watcher(url)
    run = watcher.start(image="ct", prompt=prompt, scope="volume", method="every_slice")
    others: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            for path in ("/info/", "/ibisagent/info", f"/ibisagent/runs/{run}"):
                others.append(_seconds(url, path))
                time.sleep(0.05)

    second = threading.Thread(target=ask)
    second.start()
    told = list(watcher.follow(run))
    done.set()
    second.join()
    last, ages = told[-1][0], [age for _, age in told]
    if last["event"] == "failed":
        raise ServerFailed(f"The run failed: {last['message']} {last['fix']}", "")
    alone, loaded = quantiles(quiet), quantiles(others)
    return {
        "event_age": quantiles(ages),
        "second_user_quiet": alone,
        "second_user_under_load": loaded,
        "second_user_under_load_p95": loaded["p95"],
        "second_user_ratio": round(loaded["median"] / alone["median"], 2),
    }


def _many(url: str, options: argparse.Namespace) -> dict[str, Any]:
    """Clients that start, click, drop their connections and come back, all at once."""
    clients = Clients(url, options.clients, options.seconds, options.prompt)
    clients.play()
    return {
        "clients": options.clients,
        "clients_seconds": options.seconds,
        "clients_runs": clients.runs,
        "clients_events": clients.events,
        "clients_drops": clients.drops,
        "clients_refused_for_too_many": clients.refused,
        "events_lost": clients.lost,
        "failures": clients.failures[:5],
    }


def _memory(server: Server, options: argparse.Namespace) -> dict[str, Any]:
    """Resident memory over many runs, after some to warm up."""
    watcher, process = Watcher(server.url), psutil.Process(server.pid)
    sizes = []
    for number in range(options.runs):
        run = watcher.start(image="ct", prompt=options.prompt, wait_for_human=True, slice=1)
        list(watcher.follow(run))
        watcher.order(run, "click", index=1, x=0.4 + 0.001 * (number % 100), y=0.5)
        list(watcher.follow(run, since=3))
        sizes.append(process.memory_info().rss / _MIB)
    after = np.array(sizes[len(sizes) // 5 :])
    slope = np.polyfit(np.arange(len(after)), after, 1)[0]
    return {
        "memory_runs": options.runs,
        "memory_first_mib": round(float(after[0])),
        "memory_last_mib": round(float(after[-1])),
        "memory_growth_mib_per_100_runs": round(float(slope) * 100, 1),
    }


def _volume(fresh: Callable[[str], Server], options: argparse.Namespace) -> dict[str, Any]:
    """The same volume with masks carried by the tool, and with the agent on every slice.

    Each on a server of its own: the second would find the first one's embeddings.
    """
    slices = int(sitk.ReadImage(str(options.image)).GetSize()[2])
    took, found = {}, {}
    for method in ("propagate", "every_slice"):
        with fresh(method) as server:
            watcher = Watcher(server.url)
            list(watcher.follow(watcher.start(image="ct", prompt=options.prompt, slice=1)))
            began = time.perf_counter()
            prompt = options.volume_prompt
            run = watcher.start(image="volume", prompt=prompt, scope="volume", method=method)
            *_, (last, _) = watcher.follow(run)
            took[method] = round(time.perf_counter() - began, 2)
            found[method] = last.get("answer", "")
    return {
        "volume_prompt": options.volume_prompt,
        "volume_slices": slices,
        "volume_answers": found,
        "volume_seconds": took,
        "volume_slices_a_second": {name: round(slices / one, 3) for name, one in took.items()},
        "volume_speedup": round(took["every_slice"] / took["propagate"], 2),
    }


def _seconds(url: str, path: str) -> float:
    began = time.perf_counter()
    requests.get(f"{url}{path}", timeout=60).raise_for_status()
    return time.perf_counter() - began


def _write_studies(studies: Path, image: Path | None) -> None:
    studies.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(volume(1, slices=3)), str(studies / "ct.nrrd"))
    if image is not None:
        shutil.copyfile(image, studies / f"volume{''.join(image.suffixes[-2:])}")


def _volume_there() -> Path | None:
    """A CT of 30 slices from the labelled sets, where they are at hand."""
    data = Path(os.environ.get("IBISAGENT_DATA", ROOT.parent / "shared" / "data"))
    image = data / "vol_totalseg_ct_mr" / "volumes" / "ct_3mm_small.nii.gz"
    return image if image.is_file() else None


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/runs.py", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file for the figures")
    parser.add_argument("--prompt", default=DEFAULT_PROMPT, help="what to segment")
    parser.add_argument(
        "--image", type=Path, default=_volume_there(), help="a volume, for both methods on it"
    )
    parser.add_argument("--volume-prompt", default="the liver", help="what to segment in it")
    parser.add_argument("--clients", type=int, default=20, help="at the same time")
    parser.add_argument("--seconds", type=float, default=120, help="for which they are at it")
    parser.add_argument("--runs", type=int, default=200, help="over which memory is measured")
    parser.add_argument(
        "--conf", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="setting"
    )
    options = parser.parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    options.command = " ".join(["benchmarks/runs.py", *given])
    return options


def _report(options: argparse.Namespace, load: float, results: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "command": options.command,
        "version": __version__,
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "prompt": options.prompt,
        "machine": {**machine_facts(), "load_before": round(load, 1)},
        "unit": "seconds, unless the name says otherwise",
        "aims": AIMS,
        "results": dict(results),
    }


def _table(results: Mapping[str, Any]) -> Table:
    table = Table("what", "measured", "aim", title="Runs on a server")
    for name, value in results.items():
        shown = (
            ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        )
        table.add_row(name.replace("_", " "), str(shown), AIMS.get(name, ""))
    return table


if __name__ == "__main__":
    sys.exit(main())
