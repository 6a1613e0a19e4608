"""Keeping what every turn begins with changes no reply."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness.fake_tool import DiscTool
from harness.hub_checkpoints import gemma3, qwen3_vl
from harness.tiny_checkpoint import write_checkpoint

from ibisagent.episode import Episode
from ibisagent.policies import prefix_cache
from ibisagent.policies.base import Observation
from ibisagent.policies.local import LocalPolicy
from ibisagent.prompts import load_profile

FAMILIES = {"qwen2_5_vl": write_checkpoint, "qwen3_vl": qwen3_vl, "gemma3": gemma3}
PROFILE = load_profile("published")
HISTORY = PROFILE.model_copy(update={"history": True})
CLICK = "<think>a</think><action>Positive Point (0.5, 0.5)</action>"


@pytest.fixture(scope="module", params=FAMILIES)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FAMILIES[request.param](tmp_path_factory.mktemp("models") / request.param)


def turns(profile: object = PROFILE) -> list[Observation]:
    """Two turns each of two episodes, with pictures of different sizes."""
    seen = []
    for side, prompt in ((60, "kidney"), (90, "is there a tumour in the left lung?")):
        rgb = np.random.default_rng(side).integers(0, 256, (side, 80, 3), dtype=np.uint8)
        playing = Episode(rgb, prompt, DiscTool(), profile)  # type: ignore[arg-type]
        seen.append(playing.observe())
        playing.apply(CLICK)
        seen.append(playing.observe())
    return seen


def test_the_tested_families_are_those_of_this_file() -> None:
    assert set(FAMILIES) == prefix_cache.TESTED


def test_replies_stay_the_same(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    look_at = prefix_cache.PrefixCache._look_at
    monkeypatch.setattr(
        prefix_cache.PrefixCache,
        "_look_at",
        lambda self, tokens: (looked.append(tokens.shape[1]), look_at(self, tokens))[1],
    )
    plain = LocalPolicy(checkpoint, "cpu", max_new_tokens=16, reuse_prefix=False)
    reusing = LocalPolicy(checkpoint, "cpu", max_new_tokens=16)
    seen = turns() + turns(HISTORY)
    assert [reusing.replies([one]) for one in seen] == [plain.replies([one]) for one in seen]
    assert len(looked) == 1  # the system text, once for all of them
    assert looked[0] > 100
    assert reusing.replies(seen) == plain.replies(seen)
    sampled = [policy.sampling(1.0, 3).replies(seen[:1]) for policy in (reusing, plain)]
    assert sampled[0] == sampled[1]


def test_other_words_are_looked_at_anew(checkpoint: Path) -> None:
    plain = LocalPolicy(checkpoint, "cpu", max_new_tokens=16, reuse_prefix=False)
    reusing = LocalPolicy(checkpoint, "cpu", max_new_tokens=16)
    other = PROFILE.model_copy(update={"system": PROFILE.system[::-1]})
    without = PROFILE.model_copy(update={"system": ""})
    for profile in (PROFILE, other, without, PROFILE):
        (one, *_) = turns(profile)
        assert reusing.replies([one]) == plain.replies([one])


def test_untested_families_and_older_libraries_do_without(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = LocalPolicy(checkpoint, "cpu", max_new_tokens=2)
    inputs = policy._inputs(turns()[:1])
    assert prefix_cache.PrefixCache(policy._model).past(inputs)
    monkeypatch.setattr(prefix_cache, "transformers_version", "5.22.1")
    assert not prefix_cache.PrefixCache(policy._model).past(inputs)
    monkeypatch.setattr(prefix_cache, "transformers_version", "5.23.0")
    monkeypatch.setattr(policy._model.config, "model_type", "another")
    assert not prefix_cache.PrefixCache(policy._model).past(inputs)
