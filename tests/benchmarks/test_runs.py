"""The benchmark of runs works, whatever it measures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk
from harness.phantom import image_of, tube

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.run_clients import quantiles  # noqa: E402
from benchmarks.runs import main  # noqa: E402


def test_quantiles() -> None:
    assert quantiles([3.0, 1.0, 2.0]) == {"median": 2.0, "p95": 2.9, "max": 3.0, "n": 3}


@pytest.mark.slow
def test_small_benchmark_loses_nothing(tmp_path: Path) -> None:
    app = ROOT / "tests" / "monailabel_app" / "obedient_app"
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    out = tmp_path / "server.json"
    arguments = ["--clients", "5", "--seconds", "5", "--runs", "10", "--prompt", "click 0.5 0.5"]
    arguments += ["--out", str(out), "--conf", "policy", str(checkpoint)]
    image = tmp_path / "tube.nrrd"
    sitk.WriteImage(image_of(tube(size=(12, 40, 44), first=2, last=9)), str(image))
    arguments += ["--image", str(image), "--volume-prompt", "click 0.4 0.45"]
    assert main(arguments, app) == 0
    results = json.loads(out.read_text())["results"]
    assert results["events_lost"] == 0
    assert results["failures"] == []
    assert results["clients_drops"] > 0
    assert results["second_user_ratio"] > 0
    assert results["volume_slices"] == 12
    assert set(results["volume_seconds"]) == {"propagate", "every_slice"}
