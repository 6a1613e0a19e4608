"""Our loop writes and marks what the published one does, on the same checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness.fake_tool import DiscTool
from harness.memorised_checkpoint import memorise
from harness.reference_loop import reference_loop
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.episode import Episode, StopReason, run
from ibisagent.policies import load_policy
from ibisagent.policies.local import LocalPolicy
from ibisagent.prompts import load_profile

PROFILE = load_profile("published")
LEFT = "<think>It is on the left.</think><action>Positive Point (0.3012, 0.4050)</action>"
RIGHT = "<think>Too much there.</think><action>Negative Point (0.7001, 0.6000)</action>"
DONE = "<think>It fits.</think><action>Terminate</action><answer>The kidney is marked.</answer>"
REPLIES = {
    ("the kidney", True): LEFT,
    ("the kidney", False): DONE,
    ("the liver", True): LEFT,
    ("the liver", False): RIGHT,
    ("the spleen", True): DONE,
}
ENDS = {
    "the kidney": ([LEFT, DONE], StopReason.TERMINATED),
    "the liver": ([LEFT, RIGHT, RIGHT, RIGHT], StopReason.REPEATED_ACTION),
    "the spleen": ([DONE], StopReason.NOT_PRESENT),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return memorise(tmp_path_factory.mktemp("models") / "memorised", PROFILE, REPLIES)


@pytest.fixture(scope="module")
def policy(checkpoint: Path) -> LocalPolicy:
    loaded = load_policy(str(checkpoint), "cpu")
    assert isinstance(loaded, LocalPolicy)
    assert loaded.profile == PROFILE
    return loaded


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (70, 90, 3), dtype=np.uint8)


@pytest.mark.parametrize("prompt", ENDS)
def test_same_text_and_same_mask(checkpoint: Path, policy: LocalPolicy, prompt: str) -> None:
    model = AutoModelForImageTextToText.from_pretrained(checkpoint).eval()
    processor = AutoProcessor.from_pretrained(checkpoint)
    texts = (PROFILE.system, PROFILE.first, PROFILE.refine)
    image = picture(1)
    replies, mask = reference_loop(model, processor, image, prompt, texts, DiscTool())

    ours = Episode(image, prompt, DiscTool(), PROFILE)
    run([ours], policy)
    assert [step.raw for step in ours.steps] == replies
    assert np.array_equal(ours.segmentation.mask, mask)
    assert (replies, ours.stop) == ENDS[prompt]
    assert mask.any() == (prompt != "the spleen")


def test_many_slices_at_once_make_no_difference(policy: LocalPolicy) -> None:
    together = [Episode(picture(n), p, DiscTool(), PROFILE) for n, p in enumerate(ENDS)]
    run(together, policy)
    for episode, (replies, stop) in zip(together, ENDS.values(), strict=True):
        assert [step.raw for step in episode.steps] == replies
        assert episode.stop is stop
