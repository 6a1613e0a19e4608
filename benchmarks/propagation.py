"""Compares carrying masks through a volume with asking the agent on every slice:
``make bench-propagation``.

The policy is the scripted annotator, which knows the truth, so that what is measured is the
carrying and the tool, not how well a model finds the target. Writes
``docs/results/propagation.json`` and the table in ``docs/propagation.md``.

Seconds are processor seconds of one thread, which other programs on the machine hardly change.
A picture's embedding is computed once and charged to every run that needs it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ibisagent import __version__  # noqa: E402
from ibisagent.actions import Click  # noqa: E402
from ibisagent.agent import Agent  # noqa: E402
from ibisagent.machine import machine_facts  # noqa: E402
from ibisagent.manifest import Item, load_manifest  # noqa: E402
from ibisagent.metrics import dice, nsd  # noqa: E402
from ibisagent.output import make_folder, write_whole  # noqa: E402
from ibisagent.policies.base import Cancelled, Observation, never  # noqa: E402
from ibisagent.policies.volume_annotator import VolumeAnnotator  # noqa: E402
from ibisagent.prompts import load_profile  # noqa: E402
from ibisagent.propagation import PropagationSettings  # noqa: E402
from ibisagent.segment import Method, Scope, SegmentRequest, SegmentResult, segment  # noqa: E402
from ibisagent.slices import SliceView  # noqa: E402
from ibisagent.tools import load_tool  # noqa: E402
from ibisagent.tools.base import (  # noqa: E402
    RGB,
    PreparedImage,
    Segmentation,
    SegmentationTool,
)
from ibisagent.volume import read_image  # noqa: E402

RESULTS = ROOT / "docs" / "results" / "propagation.json"
PAGE = ROOT / "docs" / "propagation.md"
CASES = {
    "vol_totalseg_ct_mr": {
        "mr_3mm_small": ("spleen", "kidney left", "aorta", "liver"),
        "ct_3mm": ("kidney left", "spleen", "aorta", "liver"),
    },
    "vol_mr_spinalcord_sct": {"t2": ("spinal cord",), "t2s": ("spinal cord grey matter",)},
    "vol_mr_brain_atlas": {"colin27_ch2": ("Putamen L",)},
}
"""Set -> volume -> targets."""

SAME = ("version", "tool", "settings", "max_steps", "annotator_stops_at_iou", "nsd_tolerance_mm")
"""What must be equal for an earlier run to be gone on with."""

WAYS = 3
"""Rows of a target that is finished: every slice, carried, and carried without the tool's part."""

BEGIN, END = "<!-- table: benchmarks/propagation.py -->", "<!-- end of table -->"


@dataclass
class Counter:
    """What one run has used.

    Attributes:
        policy_calls: Observations that the policy answered.
        tool_calls: Masks that the tool made.
        embeddings: Pictures that the tool looked at.
        seconds: Processor seconds of the tool.
    """

    policy_calls: int = 0
    tool_calls: int = 0
    embeddings: int = 0
    seconds: float = 0.0


@dataclass
class CountedPolicy:
    """A policy whose replies are counted."""

    policy: VolumeAnnotator
    counter: Counter

    name = VolumeAnnotator.name

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        self.counter.policy_calls += len(observations)
        return self.policy.replies(observations, cancelled)


@dataclass
class Embeddings:
    """What the tool needs to prepare each picture, measured once.

    Attributes:
        tool: The tool, whose own cache holds the embeddings.
        costs: Digest of a picture -> processor seconds.
    """

    tool: SegmentationTool
    costs: dict[bytes, float] = field(default_factory=dict)

    def get(self, rgb: RGB) -> tuple[bytes, PreparedImage]:
        """A picture's digest, and the prepared picture."""
        key = hashlib.sha256(rgb.tobytes()).digest()
        began = time.process_time()
        prepared = self.tool.set_image(rgb)
        self.costs.setdefault(key, time.process_time() - began)
        return key, prepared


@dataclass
class CountedTool:
    """A tool whose work in one run is counted; embeddings are shared with other runs."""

    embeddings: Embeddings
    counter: Counter
    charged: set[bytes] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.embeddings.tool.name

    def set_image(self, rgb: RGB) -> CountedPrepared:
        key, prepared = self.embeddings.get(rgb)
        if key not in self.charged:
            self.charged.add(key)
            self.counter.embeddings += 1
            self.counter.seconds += self.embeddings.costs[key]
        return CountedPrepared(prepared, self.counter)


@dataclass
class CountedPrepared:
    prepared: PreparedImage
    counter: Counter

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        began = time.process_time()
        segmentation = self.prepared.segment(clicks, prior)
        self.counter.seconds += time.process_time() - began
        self.counter.tool_calls += 1
        return segmentation


@dataclass
class Case:
    """One target of one volume."""

    item: Item
    label: str

    def is_of(self, row: dict[str, Any]) -> bool:
        """Whether a row of the report is about this target."""
        return (row["volume"], row["target"]) == (self.item.name, self.label)

    def open(self) -> tuple[sitk.Image, SliceView, NDArray[np.bool_]]:
        image = read_image(self.item.image)
        return image, SliceView(image, "axial"), self.item.read()[self.label]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the figures, and put the table into the page."""
    options = _parse(arguments)
    if not options.table_only:
        measure(options)
    report = json.loads(options.out.read_text(encoding="utf-8"))
    page = options.page.read_text(encoding="utf-8")
    write_whole(options.page, with_table(page, report).encode("utf-8"))


def measure(options: argparse.Namespace) -> None:
    """Run all cases both ways. A run that was broken off goes on with the case it was at."""
    torch.set_num_threads(1)
    embeddings = Embeddings(load_tool("embedded", "cpu"))
    report = _report(options, embeddings.tool.name)
    report["rows"] = _finished_rows(options.out, report)
    make_folder(options.out.parent)
    for case in cases(options.data, options.only):
        done = {row["method"] for row in report["rows"] if case.is_of(row)}
        for method in (each for each in Method if each.value not in done):
            report["rows"] += run(case, method, embeddings, options)
            report["n"] = len({(row["volume"], row["target"]) for row in report["rows"]})
            write_whole(options.out, (json.dumps(report, indent=1) + "\n").encode("utf-8"))
    report["finished"] = report["n"] == len(list(cases(options.data, "")))
    write_whole(options.out, (json.dumps(report, indent=1) + "\n").encode("utf-8"))


def _finished_rows(out: Path, report: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of an earlier run that was made in the same way and broken off."""
    try:
        earlier = json.loads(out.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    same = all(earlier.get(name) == report[name] for name in SAME)
    return earlier["rows"] if same and not earlier["finished"] else []


def cases(data: Path, only: str) -> Iterator[Case]:
    """The targets to measure on, `only` those whose "volume/target" begins with a text."""
    for folder, volumes in CASES.items():
        items = {item.name: item for item in load_manifest(data / folder).items}
        for name, labels in volumes.items():
            for label in labels:
                if f"{name}/{label}".startswith(only):
                    yield Case(items[name], label)


def run(
    case: Case, method: Method, embeddings: Embeddings, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Rows of one method: the method itself and, of carrying, its key slices without the tool."""
    image, view, truth = case.open()
    counter = Counter()
    annotator = VolumeAnnotator(view, truth, case.label, options.stop_iou)
    agent = Agent(
        CountedPolicy(annotator, counter), CountedTool(embeddings, counter), load_profile()
    )
    request = SegmentRequest(
        prompt=f"the {case.label}", scope=Scope.VOLUME, method=method, max_steps=options.max_steps
    )
    result = segment(image, request, agent, case.item.image.name)
    asked = [each for each in result.trajectories if each.mask.decode().any()]
    row = {
        "volume": case.item.name,
        "target": case.label,
        "method": method.value,
        "slices": int(sum(view.from_volume(truth, index).any() for index in range(view.count))),
        "by_agent": len(asked),
        "by_tool": len(result.carried),
        **asdict(counter),
        **scores(result.mask > 0, truth, image, options.tolerance),
    }
    row["seconds"] = round(counter.seconds, 1)
    rows = [row]
    if method is Method.PROPAGATE:
        mask = expected_only(result, view)
        rows.append(
            {
                "volume": case.item.name,
                "target": case.label,
                "method": "expected",
                "slices": row["slices"],
                **scores(mask, truth, image, options.tolerance),
            }
        )
    return rows


def expected_only(result: SegmentResult, view: SliceView) -> NDArray[np.bool_]:
    """The result, had the tool changed nothing of what was expected on carried slices."""
    mask = result.mask.copy()
    for each in result.carried:
        view.into_volume(each.expected.decode(), mask, each.slice.index)
    return np.asarray(mask > 0)


def scores(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_], image: sitk.Image, tolerance: float
) -> dict[str, float]:
    """Dice and NSD of a whole volume."""
    spacing = image.GetSpacing()[::-1]
    return {
        "dice": round(dice(mask, truth), 4),
        "nsd": round(nsd(mask, truth, tolerance, spacing), 4),
    }


def with_table(page: str, report: dict[str, Any]) -> str:
    """The page with the table between its marks written anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table(report['rows'])}\n{END}{after}"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line a target, and the means; each figure for every slice / carried."""
    heads = ["volume", "target", "slices", "Dice", "NSD", "blend alone", "asked on", "carried"]
    heads += ["policy calls", "tool calls", "tool seconds"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    targets = list(dict.fromkeys((row["volume"], row["target"]) for row in rows))
    grouped = [
        {row["method"]: row for row in rows if (row["volume"], row["target"]) == target}
        for target in targets
    ]
    grouped = [methods for methods in grouped if len(methods) == WAYS]
    lines += [_line(methods) for methods in grouped]
    return "\n".join([*lines, _mean_line(grouped)]) + "\n"


def _line(methods: dict[str, dict[str, Any]]) -> str:
    every, carried, expected = (methods[name] for name in ("every_slice", "propagate", "expected"))
    cells = [every["volume"], every["target"], str(every["slices"])]
    cells += [f"{every[name]:.3f} / {carried[name]:.3f}" for name in ("dice", "nsd")]
    cells += [f"{expected['dice']:.3f}", str(carried["by_agent"]), str(carried["by_tool"])]
    cells += [f"{every[name]} / {carried[name]}" for name in ("policy_calls", "tool_calls")]
    cells += [f"{every['seconds']:.0f} / {carried['seconds']:.0f}"]
    return "| " + " | ".join(cells) + " |"


def _mean_line(grouped: Sequence[dict[str, dict[str, Any]]]) -> str:
    """Means of the scores and sums of the calls."""

    def mean(method: str, name: str) -> float:
        return fmean(float(methods[method][name]) for methods in grouped)

    def total(method: str, name: str) -> float:
        return sum(float(methods[method][name]) for methods in grouped)

    pairs = [
        f"**{mean('every_slice', name):.3f} / {mean('propagate', name):.3f}**"
        for name in ("dice", "nsd")
    ]
    sums = [
        f"{total('every_slice', name):.0f} / {total('propagate', name):.0f}"
        for name in ("policy_calls", "tool_calls", "seconds")
    ]
    cells = ["**mean or sum**", f"{len(grouped)} targets", f"{total('every_slice', 'slices'):.0f}"]
    cells += [*pairs, f"{mean('expected', 'dice'):.3f}"]
    cells += [f"{total('propagate', name):.0f}" for name in ("by_agent", "by_tool")]
    return "| " + " | ".join([*cells, *sums]) + " |"


def _report(options: argparse.Namespace, tool: str) -> dict[str, Any]:
    return {
        "command": "make bench-propagation",
        "version": __version__,
        "written": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "data": f"axial slices of {', '.join(CASES)}",
        "policy": VolumeAnnotator.name,
        "tool": tool,
        "seed": None,
        "why_no_seed": "nothing is drawn at random",
        "annotator_stops_at_iou": options.stop_iou,
        "max_steps": options.max_steps,
        "nsd_tolerance_mm": options.tolerance,
        "settings": asdict(PropagationSettings()),
        "machine": machine_facts(),
        "unit_of_seconds": "processor seconds of one thread, in the tool",
        "n": 0,
        "finished": False,
        "rows": [],
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks/propagation.py", description=__doc__.split("\n\n")[0]
    )
    data = os.environ.get("IBISAGENT_DATA", str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(data), help="folder of labelled sets")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file for the figures")
    parser.add_argument("--page", type=Path, default=PAGE, help="page that shows the table")
    parser.add_argument("--only", default="", help='first letters of "volume/target"')
    parser.add_argument("--max-steps", type=int, default=5, help="most clicks on a slice")
    parser.add_argument("--stop-iou", type=float, default=0.85, help="when the annotator stops")
    parser.add_argument("--tolerance", type=float, default=3.0, help="of the NSD, in mm")
    parser.add_argument("--table-only", action="store_true", help="measure nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
