"""Measures speed and memory on this machine: ``make bench``.

Prints a table of medians and writes ``docs/results/speed.json``. Seconds depend on the machine,
ratios hardly do.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import agent_speed, server_speed  # noqa: E402
from demo.server import APP, ServerFailed  # noqa: E402
from demo.study import DEFAULT_PROMPT  # noqa: E402
from ibisagent import __version__  # noqa: E402
from ibisagent.agent import load_agent  # noqa: E402
from ibisagent.errors import IBISAgentError  # noqa: E402
from ibisagent.machine import machine_facts  # noqa: E402
from ibisagent.output import make_folder, write_whole  # noqa: E402

RESULTS = ROOT / "docs" / "results" / "speed.json"

BUSY = 0.5
"""Share of the cores in use by others from which seconds are misleading."""

AIMS = {
    "first_click": "at most 6 s on 2 cores",
    "later_click": "at most 1 s on 2 cores",
    "memory_peak_mib": "under 3,072 MiB",
}


def main(arguments: Sequence[str] | None = None, app: Path = APP) -> int:
    """Measure, print and write.

    Args:
        arguments: Of the command line.
        app: Folder of the MONAI Label app.

    Returns:
        The exit code: 0, or 1 where something could not be measured.
    """
    options = _parse(arguments)
    conf, console = dict(options.conf), Console(highlight=False)
    load = psutil.getloadavg()[0]
    if load > BUSY * (psutil.cpu_count() or 1):
        console.print(f"Other programs are at work (load {load:.1f}): expect too many seconds.")
    try:
        with console.status("Measuring the agent"):
            agent = load_agent(
                conf.get("policy", "embedded"),
                conf.get("tool", "embedded"),
                conf.get("device", "auto"),
                conf.get("prompts", ""),
            )
            results = agent_speed.measure(agent, options.prompt, options.repeats)
        with console.status(f"Measuring the server, {options.starts} starts"):
            results |= server_speed.measure(
                options.prompt, options.repeats, options.starts, conf, app
            )
        report = _report(agent.policy.name, agent.tool.name, load, results)
        make_folder(options.out.parent)
        write_whole(options.out, (json.dumps(report, indent=1) + "\n").encode("utf-8"))
    except (IBISAgentError, ServerFailed) as error:
        Console(stderr=True, highlight=False).print(f"bench: {error}", style="red", markup=False)
        return 1
    console.print(_table(report))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file for the figures")
    parser.add_argument("--prompt", default=DEFAULT_PROMPT, help="what to segment")
    parser.add_argument("--repeats", type=int, default=5, help="pictures to measure on")
    parser.add_argument("--starts", type=int, default=3, help="starts of the server")
    parser.add_argument(
        "--conf",
        nargs=2,
        action="append",
        default=[],
        metavar=("KEY", "VALUE"),
        help="setting of the server: policy, tool, device, max_steps or prompts",
    )
    return parser.parse_args(arguments)


def _report(policy: str, tool: str, load: float, results: dict[str, Any]) -> dict[str, Any]:
    memory = round(psutil.virtual_memory().total / 2**30)
    return {
        "command": "make bench",
        "version": __version__,
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "policy": policy,
        "tool": tool,
        "machine": {**machine_facts(), "memory_gib": memory, "load_before": round(load, 1)},
        "unit": "seconds, unless the name says otherwise",
        "results": results,
    }


def _table(report: dict[str, Any]) -> Table:
    machine = report["machine"]
    title = f"{report['policy']} with {report['tool']} on {machine['cores']} cores"
    table = Table("what", "median", "range", "cpu", "n", "aim", title=title)
    for name, value in report["results"].items():
        aim = AIMS.get(name, "")
        words = name.replace("_", " ")
        if isinstance(value, dict):
            spread = f"{value['min']:.2f} to {value['max']:.2f}"
            cpu = f"{value['cpu_median']:.2f} s" if "cpu_median" in value else ""
            table.add_row(words, f"{value['median']:.2f} s", spread, cpu, str(value["n"]), aim)
        else:
            table.add_row(words, f"{value}", "", "", "", aim)
    return table


if __name__ == "__main__":
    sys.exit(main())
