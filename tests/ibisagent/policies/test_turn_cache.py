"""Keeping earlier turns, pictures included, changes no reply."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from harness.fake_tool import DiscTool
from harness.hub_checkpoints import gemma3, qwen3_vl
from harness.tiny_checkpoint import write_checkpoint

from ibisagent.episode import Episode, run
from ibisagent.errors import InvalidRequest
from ibisagent.policies import turn_cache
from ibisagent.policies.base import Observation, never
from ibisagent.policies.local import LocalPolicy
from ibisagent.policies.turn_cache import BUDGET_VARIABLE, DEFAULT_BYTES, TurnCache
from ibisagent.prompts import load_profile

FAMILIES = {"qwen2_5_vl": write_checkpoint, "qwen3_vl": qwen3_vl}
PROFILE = load_profile("published")
HISTORY = PROFILE.model_copy(update={"history": True})
CLICKS = [
    f"<think>here</think><action>{sign} Point (0.{n}, 0.5)</action>"
    for n, sign in ((2, "Positive"), (5, "Positive"), (4, "Negative"))
]


@pytest.fixture(scope="module", params=FAMILIES)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return FAMILIES[request.param](tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture(scope="module")
def plain(checkpoint: Path) -> LocalPolicy:
    return LocalPolicy(checkpoint, "cpu", max_new_tokens=16, reuse_prefix=False)


@pytest.fixture
def reusing(checkpoint: Path) -> LocalPolicy:
    return LocalPolicy(checkpoint, "cpu", max_new_tokens=16)


def begin(seed: int, side: int = 60, prompt: str = "kidney") -> Episode:
    rgb = np.random.default_rng(seed).integers(0, 256, (side, 80, 3), dtype=np.uint8)
    return Episode(rgb, prompt, DiscTool(), HISTORY)


def turns(seed: int = 0, side: int = 60, prompt: str = "kidney") -> list[Observation]:
    """Four turns of one episode, of which each shows all pictures so far."""
    episode, seen = begin(seed, side, prompt), []
    for click in CLICKS:
        seen.append(episode.observe())
        episode.apply(click)
    return [*seen, episode.observe()]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Tokens computed anew and pictures looked at anew, of each call from now on."""
    found: list[tuple[int, int]] = []
    recall = TurnCache.recall

    def noting(self: TurnCache, inputs: dict, pictures: Sequence) -> object:  # type: ignore[type-arg]
        recalled = recall(self, inputs, pictures)
        if recalled is not None:
            known = recalled.arguments["past_key_values"].get_seq_length()
            outputs = recalled.arguments.get("mm_encoder_outputs")
            total = sum(len(shown) for shown in pictures)
            new = len(outputs["image"].pooler_output) if outputs else total
            found.append((inputs["input_ids"].shape[1] - known, new))
        return recalled

    monkeypatch.setattr(TurnCache, "recall", noting)
    return found


def test_replies_stay_the_same_and_earlier_pictures_are_not_looked_at_again(
    plain: LocalPolicy, reusing: LocalPolicy, computed: list[tuple[int, int]]
) -> None:
    for seen in turns():
        assert reusing.replies([seen]) == plain.replies([seen])
    first, *later = computed  # of the second turn on; before it there is no history
    assert first[1] == 2
    assert [new for _, new in later] == [1, 1]
    lengths = [reusing._inputs([seen])["input_ids"].shape[1] for seen in turns()[2:]]
    assert all(tokens < 0.5 * whole for (tokens, _), whole in zip(later, lengths, strict=True))


def test_many_episodes_side_by_side(
    plain: LocalPolicy, reusing: LocalPolicy, computed: list[tuple[int, int]]
) -> None:
    several = zip(
        turns(1), turns(2, 90, "is there a tumour in the left lung?"), turns(3, 40), strict=True
    )
    for seen in several:
        assert reusing.replies(seen) == plain.replies(seen)
    assert [new for _, new in computed] == [6, 3, 3]


def test_whole_episodes_of_the_policy_s_own_replies(
    plain: LocalPolicy, reusing: LocalPolicy
) -> None:
    written = []
    for policy in (plain, reusing, reusing):
        episodes = [begin(5), begin(6, 90, "the liver")]
        for episode in episodes:
            episode.limits = type(episode.limits)(max_malformed=4)
        run(episodes, policy)
        written.append([[step.raw for step in episode.steps] for episode in episodes])
    assert written[0] == written[1] == written[2]
    assert min(map(len, written[0])) > 2


def test_undone_and_changed_turns_are_computed_anew(
    plain: LocalPolicy, reusing: LocalPolicy, computed: list[tuple[int, int]]
) -> None:
    episode = begin(7)
    for click in CLICKS:
        episode.apply(click)
        reusing.replies([episode.observe()])
    computed.clear()
    episode.undo()
    episode.apply(CLICKS[0])
    assert reusing.replies([episode.observe()]) == plain.replies([episode.observe()])
    assert computed[-1][1] == 1
    episode.image = episode.image.copy()
    episode.image[0, 0, 0] ^= 1  # one pixel of each picture
    assert reusing.replies([episode.observe()]) == plain.replies([episode.observe()])
    assert computed[-1][1] == 4


def test_a_mix_of_new_and_old_episodes(plain: LocalPolicy, reusing: LocalPolicy) -> None:
    old, new = turns(8), turns(9, 90)
    for seen in old[:3]:
        reusing.replies([seen])
    batch = [old[3], new[0], new[2], old[1]]
    assert reusing.replies(batch) == plain.replies(batch)
    assert reusing.replies(batch[::-1]) == plain.replies(batch[::-1])


def test_samples_stay_the_same(plain: LocalPolicy, reusing: LocalPolicy) -> None:
    for seen in turns(10)[:3]:
        sampled = [policy.sampling(1.0, 3).replies([seen]) for policy in (reusing, plain)]
        assert sampled[0] == sampled[1]


def test_without_history_nothing_is_kept(
    reusing: LocalPolicy, computed: list[tuple[int, int]]
) -> None:
    episode = begin(11)
    episode.profile = PROFILE
    for click in CLICKS:
        reusing.replies([episode.observe()])
        episode.apply(click)
    assert computed == []
    assert reusing._turns is not None
    assert reusing._turns.n_bytes == 0


def test_the_budget_holds_and_the_oldest_goes_first(
    plain: LocalPolicy, reusing: LocalPolicy, computed: list[tuple[int, int]]
) -> None:
    kept = reusing._turns
    assert kept is not None
    seen = [turns(seed) for seed in (12, 13, 14)]
    reusing.replies([seen[0][1]])
    one = kept.n_bytes
    assert 0 < one < DEFAULT_BYTES
    kept._max_bytes = int(2.6 * one)
    for other in seen[1:]:
        reusing.replies([other[1]])
        assert one < kept.n_bytes <= kept._max_bytes
    computed.clear()
    for episode in (seen[2], seen[0]):
        assert reusing.replies([episode[2]]) == plain.replies([episode[2]])
    assert [new for _, new in computed] == [1, 3]
    kept._max_bytes = 1
    reusing.replies([seen[0][3]])
    assert kept.n_bytes == 0


def test_a_longer_conversation_takes_the_place_of_its_beginning(reusing: LocalPolicy) -> None:
    assert reusing._turns is not None
    for seen in turns(15):
        reusing.replies([seen])
    assert len(reusing._turns._kept) == 1


def test_budget_of_the_environment(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, computed: list[tuple[int, int]]
) -> None:
    monkeypatch.setenv(BUDGET_VARIABLE, "0")
    policy = LocalPolicy(checkpoint, "cpu", max_new_tokens=2)
    for seen in turns(16):
        policy.replies([seen])
    assert computed == []
    monkeypatch.setenv(BUDGET_VARIABLE, "much")
    with pytest.raises(InvalidRequest, match=BUDGET_VARIABLE):
        TurnCache(policy._model)


def test_want_of_memory_gives_up_the_earlier_turns_first(
    plain: LocalPolicy, reusing: LocalPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = turns(17)
    reusing.replies([seen[1]])
    generate = LocalPolicy._generate

    def crowded(self: LocalPolicy, *arguments: object) -> list[str]:
        assert self._turns is not None
        if self._turns.n_bytes:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return generate(self, *arguments)  # type: ignore[arg-type]

    expected = plain.replies([seen[2]])
    monkeypatch.setattr(LocalPolicy, "_generate", crowded)
    assert reusing.replies([seen[2]], never) == expected


def test_other_families_and_older_libraries_compute_all_anew(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(FAMILIES) == turn_cache.TESTED
    policy = LocalPolicy(gemma3(tmp_path / "gemma"), "cpu", max_new_tokens=4)
    whole = LocalPolicy(tmp_path / "gemma", "cpu", max_new_tokens=4, reuse_prefix=False)
    for seen in turns(18):
        assert policy.replies([seen]) == whole.replies([seen])
    assert policy._turns is not None
    assert policy._turns.n_bytes == 0
    monkeypatch.setattr(turn_cache, "transformers_version", "5.22.1")
    older = LocalPolicy(checkpoint, "cpu", max_new_tokens=4)
    older.replies(turns(18)[1:2])
    assert older._turns is not None
    assert older._turns.n_bytes == 0
