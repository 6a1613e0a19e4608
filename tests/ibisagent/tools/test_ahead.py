"""Pictures that are known in advance reach the model together, through every wrapper."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from harness.fake_tool import DiscTool
from harness.list_policy import ListPolicy

from ibisagent.agent import Agent
from ibisagent.episode import Episode, run
from ibisagent.prompts import load_profile
from ibisagent.runs.turns import Turns, agent_in_turns
from ibisagent.tools.ahead import PICTURES_AT_ONCE, at_once, embed_ahead, usual_at_once
from ibisagent.tools.base import RGB
from ibisagent.tools.smaller_retry import SmallerRetry

CLICK = "<think>a</think><action>Positive Point (0.5, 0.5)</action>"
DONE = "<think>a</think><action>Terminate</action><answer>Done.</answer>"


@dataclass
class Farsighted(DiscTool):
    """Notes the pictures that it was shown ahead."""

    at_once: int = 4
    ahead: list[list[int]] = field(default_factory=list)

    def embed_ahead(self, pictures: Iterable[RGB]) -> None:
        self.ahead.append([int(rgb[0, 0, 0]) for rgb in pictures])


def picture(value: int) -> RGB:
    return np.full((40, 40, 3), value, np.uint8)


def test_only_a_gpu_gains_by_more_than_one_at_once() -> None:
    assert usual_at_once(torch.device("cpu")) == 1
    assert usual_at_once(torch.device("cuda", 0)) == PICTURES_AT_ONCE


def test_a_tool_that_cannot_or_does_not_gain_is_left_alone() -> None:
    near = Farsighted(at_once=1)
    embed_ahead(near, [picture(1)])
    embed_ahead(DiscTool(), [picture(1)])
    assert near.ahead == []
    assert (at_once(near), at_once(DiscTool()), at_once(Farsighted())) == (1, 1, 4)


def test_wrappers_hand_it_on() -> None:
    inner = Farsighted()
    profile = load_profile()
    wrapped = agent_in_turns(Agent(ListPolicy(), SmallerRetry(inner), profile), Turns()).tool
    assert at_once(wrapped) == 4
    embed_ahead(wrapped, [picture(1), picture(2)])
    assert inner.ahead == [[1, 2]]
    plain = agent_in_turns(Agent(ListPolicy(), SmallerRetry(DiscTool()), profile), Turns()).tool
    assert at_once(plain) == 1


class BySlice:
    """Clicks on every picture but the second, then is satisfied."""

    name = "by-slice"

    def replies(self, observations: object, cancelled: object = None) -> list[str]:
        first = [seen.step == 0 and seen.pictures[0][0, 0, 0] != 2 for seen in observations]  # type: ignore[attr-defined]
        return [CLICK if clicks else DONE for clicks in first]


@pytest.mark.parametrize(("values", "ahead"), [([1, 2, 3], [[1, 3]]), ([1, 2], [])])
def test_pictures_that_are_clicked_on_together_are_shown_together(
    values: list[int], ahead: list[list[int]]
) -> None:
    tool, profile = Farsighted(), load_profile()
    episodes = [Episode(picture(value), "kidney", tool, profile) for value in values]
    run(episodes, BySlice())
    assert tool.ahead == ahead
    assert [bool(episode.clicks) for episode in episodes] == [value != 2 for value in values]


def test_a_cancelled_run_shows_nothing_ahead() -> None:
    tool, profile, asked = Farsighted(), load_profile(), []
    episodes = [Episode(picture(value), "kidney", tool, profile) for value in (1, 3)]
    run(episodes, BySlice(), cancelled=lambda: len(asked) > 0 or bool(asked.append(1)))
    assert tool.ahead == []
