"""Fine-tuning for real, on a tiny checkpoint and episodes on pictures of a disc."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from harness.disc_episodes import PROMPT, STOP, WRONG, disc_episodes, hit
from harness.fake_tool import DiscTool
from harness.memorised_checkpoint import SIZE
from safetensors.torch import load_file

from ibisagent.episode import Episode, StopReason, run
from ibisagent.errors import InvalidRequest
from ibisagent.policies import load_policy
from ibisagent.prompts import load_profile
from ibistrain.episode_record import EpisodeRecord, write_shards
from ibistrain.picture_store import PictureStore
from ibistrain.sft import Dialogues, sft
from ibistrain.sft_config import SftConfig
from ibistrain.tiny import build

PLACES = ((14, 14), (14, 14))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def episodes(root: Path) -> list[EpisodeRecord]:
    found = disc_episodes(root, PLACES)
    write_shards(found, root / "episodes")
    return found


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    profile = load_profile()
    texts = [profile.turn_text(PROMPT, first) for first in (True, False)]
    folder = tmp_path_factory.mktemp("start")
    build(folder, [profile.system, *texts, hit(14, 14), STOP, WRONG], SIZE)
    return folder


def config(start: Path, root: Path, out: Path, **changes: Any) -> SftConfig:
    fields: dict[str, Any] = {
        "model": str(start),
        "out": out,
        "episodes": root / "episodes",
        "data": root,
        "steps": 40,
        "batch": 4,
        "learning_rate": 3e-3,
        "train_vision": True,
        "log_every": 1,
        "save_every": 20,
        "trl": {"disable_tqdm": True},
    }
    return SftConfig(**(fields | changes))


def rows_of(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(
    start: Path, root: Path, episodes: list[EpisodeRecord], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of an uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    sft(config(start, root, out))
    return out


def test_the_policy_says_what_it_was_shown(whole: Path, root: Path, episodes):
    policy = load_policy(str(whole / "model"), "cpu")
    episode = Episode(PictureStore(root).rgb(episodes[0]), PROMPT, DiscTool(), policy.profile)
    run([episode], policy)

    assert [step.raw for step in episode.steps] == [hit(14, 14), STOP]
    assert episode.stop is StopReason.TERMINATED
    assert np.array_equal(episode.segmentation.mask, episodes[0].truth.decode())


def test_a_run_leaves_settings_versions_figures_and_a_policy(whole: Path):
    losses = [row["loss"] for row in rows_of(whole) if "loss" in row]

    assert losses[-1] < 0.1 * losses[0]
    assert {"config.yaml", "versions.json", "metrics.jsonl", "curves.png", "model"} <= {
        file.name for file in whole.iterdir()
    }
    assert list(whole.glob("**/events.out.tfevents.*"))


def test_a_run_that_was_broken_off_ends_as_if_it_had_not_been(
    start: Path, root: Path, whole: Path, tmp_path: Path
):
    steps: list[float] = []
    settings = config(start, root, tmp_path)
    sft(settings, lambda row: steps.append(row["step"]), lambda: len(steps) >= 3)
    sft(settings)

    assert steps[-1] < 40
    resumed, straight = (load_file(o / "model" / "model.safetensors") for o in (tmp_path, whole))
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)
    mine, theirs = (
        [(row["step"], row["loss"]) for row in rows_of(out) if "loss" in row]
        for out in (tmp_path, whole)
    )
    assert mine == theirs


@pytest.mark.slow
def test_a_killed_run_goes_on_where_its_last_checkpoint_was(
    start: Path, root: Path, whole: Path, tmp_path: Path
):
    settings = config(start, root, tmp_path / "run")
    file = tmp_path / "sft.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    command = [sys.executable, "-m", "ibistrain", "sft", str(file)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        metrics = settings.out / "metrics.jsonl"
        while process.poll() is None and not (
            metrics.is_file() and len(rows_of(settings.out)) > 22
        ):
            time.sleep(0.02)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (settings.out / "model").exists()

    sft(settings)

    resumed, straight = (
        load_file(o / "model" / "model.safetensors") for o in (settings.out, whole)
    )
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)
    assert [row["step"] for row in rows_of(settings.out) if "loss" in row] == [*range(1, 41)]


@pytest.mark.parametrize("merge", [True, False], ids=["merged", "apart"])
def test_an_adapter_with_history_bf16_and_checkpointing(
    start: Path, root: Path, episodes, tmp_path: Path, merge: bool
):
    settings = config(
        start, root, tmp_path, steps=2, lora={"rank": 2}, train_vision=False, history=True,
        bf16=True, gradient_checkpointing=True, at_once=2, merge=merge, learning_rate=1e-2,
    )  # fmt: skip

    model = sft(settings)

    policy = load_policy(str(model), "cpu")
    assert policy.profile.history
    assert (model / "adapter_config.json").is_file() != merge
    if merge:
        before, after = (load_file(f / "model.safetensors") for f in (start, model))
        changed = {n for n in before if not torch.allclose(before[n], after[n].to(before[n].dtype))}
        assert changed
        assert not any("visual" in name for name in changed)


def test_a_frozen_vision_tower_stays_as_it_was(start: Path, root: Path, episodes, tmp_path: Path):
    model = sft(config(start, root, tmp_path, steps=2, train_vision=False))

    before, after = (load_file(f / "model.safetensors") for f in (start, model))
    for name in before:
        assert torch.equal(before[name], after[name]) == ("visual" in name)


def test_stops_can_be_shown_more_often(root: Path, episodes: list[EpisodeRecord]):
    profile = load_profile()
    plain, weighted = (Dialogues(episodes, root, profile, n) for n in (1, 4))

    assert (len(plain), len(weighted)) == (4, 10)
    assert [weighted[n].replies for n in range(5)] == [[hit(14, 14)], *4 * [[STOP]]]


def test_stops_are_shown_as_often_as_corrections(root: Path, episodes: list[EpisodeRecord]):
    endless = episodes[1].model_copy(update={"learn": [False, True, False]})
    correcting = Dialogues([episodes[0], *3 * [endless]], root, load_profile())
    shown = [correcting[n].replies for n in range(len(correcting))]

    assert shown.count([STOP]) == shown.count([hit(14, 14)]) == 4


def test_nothing_to_learn_is_said(root: Path, episodes: list[EpisodeRecord]):
    dull = [e.model_copy(update={"learn": [False] * len(e.learn)}) for e in episodes]

    with pytest.raises(InvalidRequest, match="nothing to learn"):
        Dialogues(dull, root, load_profile())


def test_other_settings_in_the_same_folder_are_refused(start: Path, root: Path, whole: Path):
    with pytest.raises(InvalidRequest, match="other settings"):
        sft(config(start, root, whole, seed=9))
