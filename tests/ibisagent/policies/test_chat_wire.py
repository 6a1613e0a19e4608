"""What goes over the wire, and how replies are read; see also the endpoint's own tests."""

from __future__ import annotations

import numpy as np
import pytest

from ibisagent.policies.base import Observation
from ibisagent.policies.chat_wire import read_reply, wire_messages
from ibisagent.prompts import load_profile


def answer(**message: object) -> dict:
    return {"choices": [{"message": message}]}


def test_the_observation_is_left_as_it_was() -> None:
    profile = load_profile()
    messages = profile.messages(["Find it"], [])
    picture = np.zeros((64, 64, 3), dtype=np.uint8)
    seen = Observation(messages, (picture,), picture[..., 0] > 0)
    sent = wire_messages(seen, 10_000)
    assert seen.messages == profile.messages(["Find it"], [])
    assert [part["type"] for part in sent[-1]["content"]] == ["image_url", "text"]


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        ({"content": "a"}, "a"),
        ({"content": None}, ""),
        ({"content": "b", "reasoning_content": None, "reasoning": "a"}, "<think>a</think>b"),
        ({"content": None, "reasoning": "a <action>x"}, "<think>a <action>x</think>"),
        ({"content": "<think>a</think>b", "reasoning": "a"}, "<think>a</think>b"),
    ],
)
def test_read_reply(message: dict, reply: str) -> None:
    assert read_reply(answer(**message)) == reply


@pytest.mark.parametrize(
    "wrong", [None, [], {}, {"choices": None}, {"choices": [{}]}, answer(content=3)]
)
def test_no_chat_completion(wrong: object) -> None:
    with pytest.raises(ValueError, match="no "):
        read_reply(wrong)
