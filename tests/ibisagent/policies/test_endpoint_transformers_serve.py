"""The endpoint policy on a real server with a real model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from harness.fake_tool import DiscTool
from harness.memorised_checkpoint import memorise
from harness.transformers_serve import transformers_serve
from transformers.utils.import_utils import is_serve_available

from ibisagent.actions import Reply, parse
from ibisagent.episode import Episode, StopReason, run
from ibisagent.errors import IBISAgentError
from ibisagent.policies.endpoint import EndpointPolicy
from ibisagent.policies.local import LocalPolicy
from ibisagent.prompts import load_profile

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not is_serve_available(), reason="transformers serve needs openai, fastapi and uvicorn"
    ),
]

PROFILE = load_profile()
REPLIES = {
    ("the kidney", True): "<think>It is on the left.</think>"
    "<action>Positive Point (0.3012, 0.4050)</action>",
    ("the kidney", False): "<think>It fits.</think><action>Terminate</action>"
    "<answer>The kidney is marked.</answer>",
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return memorise(tmp_path_factory.mktemp("models") / "memorised", PROFILE, REPLIES)


@pytest.fixture(scope="module")
def address(checkpoint: Path) -> Iterator[str]:
    with transformers_serve(checkpoint) as served:
        yield served


def episodes() -> list[Episode]:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (90, 70, 3), dtype=np.uint8) for _ in range(3)]
    return [Episode(picture, "the kidney", DiscTool(), PROFILE) for picture in pictures]


def test_served_and_local_agree(checkpoint: Path, address: str) -> None:
    served, local = episodes(), episodes()
    run(served, EndpointPolicy(address))
    run(local, LocalPolicy(checkpoint, "cpu"))
    for there, here in zip(served, local, strict=True):
        assert there.stop is here.stop is StopReason.TERMINATED
        replies = [[parse(step.raw) for step in one.steps] for one in (there, here)]
        assert replies[0] == replies[1]
        assert all(isinstance(reply, Reply) for reply in replies[0])
        assert np.array_equal(there.segmentation.mask, here.segmentation.mask)


def test_another_model_is_refused_with_the_servers_words(address: str) -> None:
    wrong = EndpointPolicy(f"{address.partition('#')[0]}#ibis")
    with pytest.raises(IBISAgentError, match="ibis"):
        wrong.replies([episodes()[0].observe()])
