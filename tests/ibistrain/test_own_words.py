"""A checkpoint is taught in the words that it writes already: those that its profile names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from harness.fake_tool import disc

from ibisagent.actions import format_reply
from ibisagent.policies import embedded_checkpoint
from ibisagent.policies.scripted import annotate
from ibisagent.policies.wording import WORDINGS
from ibistrain.dialogue import Dialogue
from ibistrain.dialogue_collator import DialogueCollator
from ibistrain.start_model import StartModel, load_start

TARGET = "liver"
SHAPE = (256, 256)


@pytest.fixture(scope="module")
def shipped() -> StartModel:
    return load_start(embedded_checkpoint())


def loss(start: StartModel, wording: str) -> float:
    """Of the three replies of an episode, each beside the mask that it is about."""
    truth = disc(SHAPE, 110, 90, 50)
    masks = (np.zeros_like(truth), disc(SHAPE, 110, 70, 25), truth)
    picture = np.where(truth, 170, 60).astype(np.uint8).repeat(3).reshape(*SHAPE, 3)
    dialogues = []
    for mask in masks:
        reply = format_reply(annotate(truth, mask, TARGET, wording=WORDINGS[wording]))
        text = start.profile.turn_text(f"the {TARGET}", first=not mask.any())
        last = {"role": "assistant", "content": [{"type": "text", "text": reply}]}
        messages = [*start.profile.messages([text], []), last]
        dialogues.append(Dialogue(messages, (picture,), (True,)))
    with torch.no_grad():
        return float(start.model(**DialogueCollator(start.processor)(dialogues)).loss)


def test_the_shipped_policy_writes_what_its_profile_says(shipped: StartModel) -> None:
    assert shipped.profile.wording == "short"
    own, other = loss(shipped, "short"), loss(shipped, "varied")
    assert own < 2 < 4 < other
