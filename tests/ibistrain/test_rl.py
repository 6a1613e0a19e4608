"""GRPO for real, on a checkpoint that knows two replies and learns which one is better."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from harness.fake_tool import DiscTool, disc
from harness.list_policy import TERMINATE, click
from harness.undecided_checkpoint import chance_of, undecided
from safetensors.torch import load_file

from ibisagent.errors import InvalidRequest
from ibisagent.policies import load_policy
from ibisagent.prompts import PromptProfile, load_profile
from ibistrain.rl import rl
from ibistrain.rl_config import RlConfig
from ibistrain.tasks import Task

PROMPT = "the disc"
HIT, MISS = click(0.25, 0.25), click(0.75, 0.75)
REPLIES = (HIT, MISS, TERMINATE)


class OneDisc:
    """A disc at the upper left, always; one positive click at its centre segments it."""

    def draw(self, rng: Random) -> Task:
        return self.find("disc", PROMPT)

    def find(self, key: str, prompt: str) -> Task:
        rgb = np.full((56, 56, 3), 60, np.uint8)
        truth = disc((56, 56), 14, 14, DiscTool.radius)
        rgb[truth] = 200
        return Task(key, prompt, rgb, truth)


@pytest.fixture(scope="module")
def profile() -> PromptProfile:
    return load_profile()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, profile: PromptProfile) -> Path:
    return undecided(tmp_path_factory.mktemp("undecided"), profile, PROMPT, REPLIES)


def config(start: Path, out: Path, **changes: Any) -> RlConfig:
    fields: dict[str, Any] = {
        "model": str(start),
        "out": out,
        "data": out,
        "steps": 6,
        "group": 6,
        "states": 2,
        "reply_tokens": 48,
        "learning_rate": 3e-4,
        "max_turns": 4,
        "log_every": 1,
        "save_every": 3,
        "train_vision": True,
        "trl": {"disable_tqdm": True},
    }
    return RlConfig(**(fields | changes))


def train(settings: RlConfig, **more: Any) -> Path:
    return rl(settings, tasks=OneDisc(), tool=DiscTool(), **more)


def rows_of(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    train(config(start, out))
    return out


def test_the_better_action_becomes_likelier(start: Path, whole: Path, profile: PromptProfile):
    before = chance_of(start, profile, PROMPT, REPLIES)
    after = chance_of(whole / "model", profile, PROMPT, REPLIES)

    assert max(before) < 0.6
    assert after[0] > before[0] + 0.1
    assert after[0] == max(after)


def test_a_run_leaves_settings_versions_figures_and_a_policy(whole: Path):
    rows = rows_of(whole)

    assert {"config.yaml", "versions.json", "metrics.jsonl", "curves.png", "model"} <= {
        file.name for file in whole.iterdir()
    }
    assert [row["step"] for row in rows[:6]] == [1, 2, 3, 4, 5, 6]
    assert all(row["total_steps"] == 6 for row in rows)
    monitored = {name for row in rows for name in row}
    assert {
        "reward", "entropy", "completions/mean_length", "episode/turns", "episode/iou",
        "reward/format", "reward/answer", "reward/click", "reward/progress", "reward/length",
    } <= monitored  # fmt: skip
    assert list(whole.glob("**/events.out.tfevents.*"))
    policy = load_policy(str(whole / "model"), "cpu")
    assert policy.profile is not None


def test_a_run_that_was_broken_off_ends_as_if_it_had_not_been(
    start: Path, whole: Path, tmp_path: Path
):
    steps: list[float] = []
    settings = config(start, tmp_path)
    train(
        settings, on_log=lambda row: steps.append(row["step"]), should_stop=lambda: len(steps) > 1
    )
    broken_off = len(steps)
    (tmp_path / "checkpoint-5").mkdir()  # as a kill in the middle of saving leaves it

    train(settings)

    assert broken_off < 6
    assert not (tmp_path / "checkpoint-5").exists()
    same = ("step", "reward", "loss", "completions/mean_length", "episode/turns")
    mine, theirs = (
        [{name: row.get(name) for name in same} for row in rows_of(out) if "reward" in row]
        for out in (tmp_path, whole)
    )
    assert mine == theirs
    resumed, straight = (load_file(o / "model" / "model.safetensors") for o in (tmp_path, whole))
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)


def test_an_adapter_is_trained_against_the_base_and_merged(
    start: Path, tmp_path: Path, profile: PromptProfile
):
    settings = config(
        start, tmp_path, steps=2, beta=0.1, clip_high=0.28, lora={"rank": 4}, train_vision=False,
        learning_rate=1e-2,
    )  # fmt: skip

    model = train(settings)

    assert any(row.get("kl") is not None for row in rows_of(tmp_path))
    before, after = (load_file(f / "model.safetensors") for f in (start, model))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any("visual" in name for name in changed)
    assert load_policy(str(model), "cpu").profile == profile


def test_the_kl_term_measures_the_way_from_the_start(start: Path, tmp_path: Path):
    settings = config(start, tmp_path, steps=3, beta=0.05, at_once=6, learning_rate=3e-3)

    train(settings)

    first, *later = [row["kl"] for row in rows_of(tmp_path) if row.get("kl") is not None]
    assert first == pytest.approx(0, abs=1e-6)
    assert max(later) > 1e-4


def test_an_adapter_can_be_kept_apart(start: Path, tmp_path: Path):
    settings = config(start, tmp_path, steps=1, lora={"rank": 2}, merge=False)

    model = train(settings)

    assert (model / "adapter_config.json").is_file()
    assert " on " in load_policy(str(model), "cpu").name


def test_other_settings_in_the_same_folder_are_refused(start: Path, whole: Path):
    with pytest.raises(InvalidRequest, match="other settings"):
        train(config(start, whole, steps=7))


def test_samples_at_once_must_fit():
    with pytest.raises(ValueError, match="at_once"):
        RlConfig(model="m", out=Path("o"), data=Path("d"), group=4, states=2, at_once=3)
