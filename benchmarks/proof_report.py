"""What the proofs share: rows on disk, means over seeds, and tables between marks of a page."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ibisagent import __version__
from ibisagent.machine import machine_facts
from ibisagent.output import make_folder, write_whole

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "proof.md"
RESULTS = ROOT / "docs" / "results"
END = "<!-- end of table -->"

Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of every proof."""
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a few steps of everything, to see that it runs; leaves the figures of docs/ alone",
    )
    parser.add_argument("--folder", type=Path, help="work folder; a broken-off run goes on")
    parser.add_argument("--out", type=Path, help="folder for the figures")
    parser.add_argument("--page", type=Path, help="page with the table")


def settle(options: argparse.Namespace) -> argparse.Namespace:
    """Fill in the folders that were not given."""
    options.folder = options.folder or ROOT / "runs" / ("proof-quick" if options.quick else "proof")
    options.out = options.out or (options.folder if options.quick else RESULTS)
    options.page = options.page or (None if options.quick else PAGE)
    return options


def read_row(folder: Path, name: str) -> Row | None:
    """A finished row, or None."""
    file = folder / f"{name}.json"
    return json.loads(file.read_text("utf-8")) if file.is_file() else None


def keep_row(folder: Path, name: str, row: Row) -> Row:
    """Write a finished row at once, so that a rerun goes on after it."""
    make_folder(folder)
    write_whole(folder / f"{name}.json", (json.dumps(row, indent=1) + "\n").encode("utf-8"))
    return row


def over_seeds(rows: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation (n - 1) of each figure; one row has no deviation."""
    found: dict[str, dict[str, float]] = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        found[name] = {"mean": round(statistics.fmean(values), 4)}
        if len(values) > 1:
            found[name]["sd"] = round(statistics.stdev(values), 4)
    return found


def head(command: str, seeds: Iterable[int], n: int, setting: Mapping[str, Any]) -> Row:
    """What every report says of how it came about."""
    return {
        "command": command,
        "commit": commit(),
        "version": __version__,
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {**machine_facts(), "threads": 1},
        "seeds": sorted(seeds),
        "n": n,
        "setting": dict(setting),
    }


def commit() -> str:
    """The commit that is checked out, with "-dirty" where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    return done.stdout.strip() or "unknown"


def write_report(report: Row, file: Path) -> None:
    """Write the figures as JSON."""
    make_folder(file.parent)
    write_whole(file, (json.dumps(report, indent=1) + "\n").encode("utf-8"))


def with_table(page: str, mark: str, table: str) -> str:
    """The page with the table after a mark written anew; unchanged without the mark."""
    begin = f"<!-- table: {mark} -->"
    before, found, rest = page.partition(begin)
    if not found:
        return page
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n\n{table}\n{END}{after}"


def put_table(page: Path | None, mark: str, table: str) -> None:
    """Write a table into a page, if there is one."""
    if page is None:
        return
    text = with_table(page.read_text(encoding="utf-8"), mark, table)
    write_whole(page, text.encode("utf-8"))


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are figures."""
    lines = [columns, ["---", *["--:"] * (len(columns) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def plus_minus(value: Mapping[str, float], digits: int = 2) -> str:
    """Mean ± standard deviation, or the one value there is."""
    mean = f"{value['mean']:.{digits}f}"
    return f"{mean} ± {value['sd']:.{digits}f}" if "sd" in value else mean
