"""The page shows the figures that were measured."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def benchmark():
    name = "benchmark_propagation"
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / "propagation.py")
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # for its dataclasses
    spec.loader.exec_module(module)
    return module


def rows(volume: str, score: float) -> list[dict]:
    counts = {"policy_calls": 30, "tool_calls": 20, "embeddings": 9, "seconds": 12.4}
    base = {"volume": volume, "target": "liver", "slices": 9, "dice": score, "nsd": 0.5}
    every = {**base, **counts, "method": "every_slice", "by_agent": 9, "by_tool": 0}
    carried = {**every, "method": "propagate", "by_agent": 3, "by_tool": 6, "policy_calls": 10}
    return [carried, every, {**base, "method": "expected"}]


def test_one_line_a_target_and_the_means(benchmark) -> None:
    table = benchmark.table([*rows("ct", 0.9), *rows("mr", 0.8)])
    lines = table.splitlines()
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| ct | liver | 9 | 0.900 / 0.900 | 0.500 / 0.500 | 0.900 | 3 | 6 |")
    assert "30 / 10" in lines[2]
    assert "**0.850 / 0.850**" in lines[4]
    assert "60 / 20" in lines[4]


def test_only_the_table_of_the_page_is_replaced(benchmark) -> None:
    page = f"Before.\n\n{benchmark.BEGIN}\nold\n{benchmark.END}\n\nAfter.\n"
    once = benchmark.with_table(page, {"rows": rows("ct", 0.9)})
    assert once.startswith("Before.")
    assert once.endswith("After.\n")
    assert "old" not in once
    assert benchmark.with_table(once, {"rows": rows("ct", 0.9)}) == once


def test_the_page_shows_the_results(benchmark) -> None:
    if not benchmark.RESULTS.is_file():
        pytest.skip("docs/results/propagation.json was not made; see make bench-propagation")
    report = json.loads(benchmark.RESULTS.read_text(encoding="utf-8"))
    page = benchmark.PAGE.read_text(encoding="utf-8")
    assert benchmark.with_table(page, report) == page, "run benchmarks/propagation.py --table-only"
