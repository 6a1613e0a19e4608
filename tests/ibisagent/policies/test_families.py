"""The same policy on several families of models, as their checkpoints lie on the hub."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from harness.fake_tool import DiscTool
from harness.hub_checkpoints import as_released_by_qwen, gemma3, qwen3_vl
from harness.tiny_checkpoint import write_checkpoint
from transformers.quantizers.quantizers_utils import should_convert_module

from ibisagent.actions import Click
from ibisagent.episode import Episode, Limits, StopReason, run
from ibisagent.policies.local import LocalPolicy
from ibisagent.policies.placement import NOT_QUANTISED
from ibisagent.prompts import load_profile

PROFILE = load_profile()
FAMILIES = {
    "qwen2_5_vl": write_checkpoint,
    "qwen2_5_vl_as_released": lambda folder: as_released_by_qwen(write_checkpoint(folder)),
    "qwen3_vl": qwen3_vl,
    "gemma3": gemma3,
}


@pytest.fixture(scope="module", params=FAMILIES)
def policy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalPolicy:
    folder = FAMILIES[request.param](tmp_path_factory.mktemp("models") / request.param)
    return LocalPolicy(folder, "cpu", max_new_tokens=16)


def episode(height: int, width: int, prompt: str, history: bool = False) -> Episode:
    picture = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    profile = PROFILE.model_copy(update={"history": history})
    return Episode(picture, prompt, DiscTool(), profile, Limits(max_steps=3))


def test_batched_replies_equal_those_one_by_one(policy: LocalPolicy) -> None:
    episodes = [
        episode(60, 80, "kidney"),
        episode(100, 40, "is there a tumour in the left lung?"),
        episode(64, 64, "liver", history=True),
    ]
    episodes[2].click(Click(0.5, 0.5))
    episodes[2].apply("<think>a</think><action>Positive Point (0.5, 0.5)</action>")
    seen = [one.observe() for one in episodes]
    assert len(seen[2].pictures) == 2
    together = policy.replies(seen)
    assert all(together)
    assert together == [policy.replies([one])[0] for one in seen]


def test_sampling_follows_its_seed(policy: LocalPolicy) -> None:
    seen = [episode(60, 80, "kidney").observe()]
    first, second, again = (policy.sampling(2.0, seed).replies(seen) for seed in (1, 2, 1))
    assert first == again != second


def test_cancelling_cuts_a_reply_short(policy: LocalPolicy) -> None:
    seen = [episode(60, 80, "kidney").observe()]
    assert len(policy.replies(seen, cancelled=lambda: True)[0]) < len(policy.replies(seen)[0])


def test_an_episode_ends(policy: LocalPolicy) -> None:
    playing = episode(60, 80, "kidney")
    run([playing], policy)
    assert playing.stop in (StopReason.MALFORMED, StopReason.STEP_LIMIT)


def test_four_bits_spare_the_eyes(policy: LocalPolicy) -> None:
    layers = policy._model.named_modules()
    linear = [name for name, layer in layers if isinstance(layer, torch.nn.Linear)]
    assert any("language_model" in name for name in linear)
    for name in linear:
        assert should_convert_module(name, NOT_QUANTISED) == ("language_model" in name), name


def test_the_older_layout_holds_the_same_weights(tmp_path: Path) -> None:
    new = LocalPolicy(write_checkpoint(tmp_path / "new"), "cpu")._model
    folder = as_released_by_qwen(write_checkpoint(tmp_path / "old"))
    model = LocalPolicy(folder, "cpu")._model
    sections = [m.config.text_config.rope_parameters["mrope_section"] for m in (new, model)]
    assert sections[0] == sections[1]
    old = model.state_dict()
    assert old.keys() == new.state_dict().keys()
    for name, weight in new.state_dict().items():
        assert torch.equal(old[name], weight.bfloat16().float()), name
