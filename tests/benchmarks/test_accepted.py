"""The renamed set, the questions and the kept figures; the rest is ``make bench-accepted``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from harness.labelled_set import disc_agent, write_set

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import accepted  # noqa: E402
from ibisagent.manifest import load_manifest  # noqa: E402
from ibisagent.subjects import is_held_back  # noqa: E402


def discs(folder: Path) -> Path:
    """A set of forty pictures, with the label's name in one place."""
    path = write_set(folder, "discs", [(12 + n % 9, 12 + n % 13) for n in range(40)])
    content = json.loads(path.read_text())
    items = [{"image": item["image"], "label": item["label"]} for item in content["items"]]
    path.write_text(json.dumps({"name": "discs", "labels": {"1": "disc"}, "items": items}))
    return path.parent


def test_a_renamed_set_has_the_same_pictures_under_another_name(tmp_path: Path) -> None:
    source = discs(tmp_path)
    new = load_manifest(accepted.renamed(source, "lantern", tmp_path / "new"))
    old = load_manifest(source)
    assert {name for item in new.items for name in item.labels} == {"lantern"}
    assert [item.image.resolve() for item in new.items] == [
        item.image.resolve() for item in old.items
    ]
    assert [i.is_held_back() for i in new.items] == [i.is_held_back() for i in old.items]


def test_figures_are_of_held_back_subjects(tmp_path: Path) -> None:
    source = discs(tmp_path)
    figures = accepted._figures([load_manifest(source)], disc_agent(), tmp_path / "out")
    held_back = [n for n in range(40) if is_held_back("discs", str(n))]
    assert figures == {
        "n": min(len(held_back), accepted.QUESTIONS.limit),
        "hit": 1.0,
        "dice": 1.0,
        "turns": 2.0,
        "ends_by_itself": 1.0,
    }


def test_missing_data_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert accepted.main(["--data", str(tmp_path / "none"), "--out", str(tmp_path / "o.json")]) == 1
    assert "bench:" in capsys.readouterr().err


def test_rows_of_other_sets_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "accepted.json"
    accepted._write(out, [{"set": "a", "way": "before", "new": 1}])
    accepted._write(out, [{"set": "b", "way": "before", "new": 2}])
    accepted._write(out, [{"set": "a", "way": "before", "new": 3}])
    rows = json.loads(out.read_text())["rows"]
    assert {row["set"]: row["new"] for row in rows} == {"a": 3, "b": 2}
