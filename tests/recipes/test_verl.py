"""The verl recipe: its data and reward here, its settings and loop with the real package."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest
from harness.disc_episodes import PROMPT, STOP, WRONG, disc_episodes, hit
from harness.fake_tool import DiscTool
from harness.tiny_checkpoint import write_checkpoint
from PIL import Image

from ibisagent.episode import Episode
from ibisagent.prompts import load_profile
from ibisagent.rle import Rle
from ibistrain.episode_record import write_shards

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "training" / "recipes" / "verl"
CHECK = Path(__file__).with_name("verl_check.py")


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"verl_recipe_{name}", RECIPE / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """The rows that the converter writes for two simulated episodes."""
    write_shards(disc_episodes(tmp_path, ((14, 14), (30, 40))), tmp_path / "episodes")
    out = tmp_path / "rows.parquet"
    given = ["make_data", str(tmp_path / "episodes"), str(tmp_path), str(out)]
    monkeypatch.setattr(sys, "argv", given)
    module("make_data").main()
    return pq.read_table(out).to_pylist()


def test_rows_hold_the_first_turn_as_the_episode_shows_it(table):
    for row in table:
        info = row["extra_info"]
        rgb = np.asarray(Image.open(module("make_data").BytesIO(info["picture"])))
        episode = Episode(rgb, info["request"], DiscTool(), load_profile())
        seen = episode.observe()
        shown = np.asarray(Image.open(module("make_data").BytesIO(row["images"][0]["bytes"])))

        assert row["agent_name"] == "ibis_agent"
        assert row["prompt"][-1]["content"] == "<image>" + seen.messages[-1]["content"][-1]["text"]
        assert np.array_equal(shown, seen.pictures[0])
        assert Rle.model_validate_json(info["truth"]).decode().any()


def test_the_reward_is_the_return_of_the_episode(table):
    info = table[0]["extra_info"]
    rgb = np.asarray(Image.open(module("make_data").BytesIO(info["picture"])))
    truth = Rle.model_validate_json(info["truth"]).decode()
    good, poor = (Episode(rgb, PROMPT, DiscTool(), load_profile()) for _ in range(2))
    for reply in (hit(14, 14), STOP):
        good.apply(reply)
    poor.apply(STOP)
    episode_return = module("reward").episode_return

    assert episode_return(good, truth)[1] == {"iou": 1.0, "turns": 2.0, "good_stop": 1.0}
    assert episode_return(good, truth)[0] > episode_return(poor, truth)[0]


@pytest.mark.slow
def test_verl_takes_the_settings_and_the_loop():
    python = os.environ.get("IBISAGENT_VERL_PYTHON")
    if not python:
        pytest.skip("verl has an environment of its own; name its Python: IBISAGENT_VERL_PYTHON")
    done = subprocess.run(
        [python, CHECK, RECIPE], capture_output=True, encoding="utf-8", timeout=280, check=False
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert "All configuration checks passed" in done.stdout
    assert "loop IbisAgentLoop" in done.stdout


@pytest.mark.slow
def test_verl_plays_a_whole_episode_with_our_loop(tmp_path: Path):
    python = os.environ.get("IBISAGENT_VERL_PYTHON")
    if not python:
        pytest.skip("verl has an environment of its own; name its Python: IBISAGENT_VERL_PYTHON")
    replies = [WRONG, hit(14, 14), STOP]
    write_shards(disc_episodes(tmp_path, ((14, 14),)), tmp_path / "episodes")
    maker = module("make_data")
    rows = list(maker.rows(tmp_path / "episodes", tmp_path, load_profile()))
    pq.write_table(maker.pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (tmp_path / "replies.json").write_text(json.dumps(replies))
    checkpoint = write_checkpoint(tmp_path / "checkpoint")
    done = subprocess.run(
        [
            python, CHECK.with_name("verl_loop_check.py"), RECIPE, checkpoint,
            tmp_path / "rows.parquet", tmp_path / "replies.json",
        ],
        capture_output=True, encoding="utf-8", timeout=280, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    end = "<|im_end|>"
    assert found["pictures"] == [1, 2, 3]
    assert found["written"] == "".join(reply + end for reply in replies)
    assert all(later.startswith(found["prompt"]) for later in found["asked"])
    assert "The green tint" in found["whole"]
    assert found["chances"]
    assert found["figures"]["good_stop"] == 1.0
