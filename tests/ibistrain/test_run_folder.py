from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from ibisagent.errors import InvalidRequest
from ibistrain.run_folder import WHOLE, RunFolder


class Settings(BaseModel):
    steps: int = 3
    out: Path = Path("somewhere")


def checkpoint(folder: Path, step: int, *names: str) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    for name in names:
        (path / name).touch()
    return path


def test_settings_and_versions_are_kept(tmp_path: Path):
    folder = RunFolder(tmp_path / "run")
    folder.open(Settings())
    folder.open(Settings())

    versions = json.loads((folder.path / "versions.json").read_text())
    assert {"python", "torch", "transformers", "trl", "device", "ibisagent"} <= set(versions)
    with pytest.raises(InvalidRequest, match="other settings"):
        folder.open(Settings(steps=4))


def test_the_newest_whole_checkpoint_is_found_and_broken_ones_go(tmp_path: Path):
    folder = RunFolder(tmp_path)
    assert folder.last_checkpoint() is None
    checkpoint(tmp_path, 9, WHOLE, "buffer")
    newest = checkpoint(tmp_path, 10, WHOLE, "buffer")
    half = checkpoint(tmp_path, 11, WHOLE)

    assert folder.last_checkpoint(["buffer"]) == newest
    assert not half.exists()


def test_figures_of_steps_to_be_repeated_are_dropped(tmp_path: Path):
    folder = RunFolder(tmp_path)
    for step in (1, 2, 3):
        folder.note({"step": step, "loss": 1 / step})
    with folder.metrics.open("a") as file:
        file.write('{"step": 4, "lo')  # a kill in the middle of a line

    folder.forget_after(2)

    assert [row["step"] for row in folder.rows()] == [1, 2]


def test_curves_are_drawn_of_what_was_noted(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.draw_curves(["loss"])
    assert not (tmp_path / "curves.png").exists()
    folder.note({"step": 1, "loss": 2.0})
    folder.note({"step": 2, "reward": 1.0})

    folder.draw_curves(["loss", "reward", "kl"])

    assert (tmp_path / "curves.png").stat().st_size > 5000
