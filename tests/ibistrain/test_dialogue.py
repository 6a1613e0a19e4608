from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness.disc_episodes import PROMPT, STOP, WRONG, disc_episode, hit
from harness.fake_tool import DiscTool

from ibisagent.actions import Click
from ibisagent.episode import Episode
from ibisagent.prompts import PromptProfile, load_profile
from ibistrain.dialogue import dialogue, dialogue_ends, ends_the_episode
from ibistrain.episode_record import EpisodeRecord
from ibistrain.picture_store import PictureStore


@pytest.fixture
def with_history() -> PromptProfile:
    return load_profile().model_copy(update={"history": True})


@pytest.fixture
def played(tmp_path: Path) -> EpisodeRecord:
    return disc_episode(tmp_path, 0)


@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("human_first", [False, True])
def test_what_is_learnt_from_is_what_inference_shows(
    tmp_path: Path, history: bool, human_first: bool
):
    profile = load_profile().model_copy(update={"history": history})
    record = disc_episode(tmp_path, 0, human_first=human_first)
    rgb = PictureStore(tmp_path).rgb(record)
    steps = record.trajectory.steps
    agents = [step for step in steps if step.raw]

    for end, last in enumerate(agents):
        episode = Episode(rgb, PROMPT, DiscTool(), profile)
        for step in steps[: steps.index(last)]:
            if step.raw:
                episode.apply(step.raw)
            else:
                x, y = step.action.x, step.action.y
                episode.click(Click(x, y))
        seen = episode.observe()
        mine = dialogue(record, rgb, profile, end)

        assert mine.messages[:-1] == seen.messages
        assert mine.replies[-1] == last.raw
        assert len(mine.pictures) == len(seen.pictures)
        assert all(np.array_equal(a, b) for a, b in zip(mine.pictures, seen.pictures, strict=True))


def test_without_history_wrong_actions_are_not_shown(played: EpisodeRecord, tmp_path: Path):
    rgb = PictureStore(tmp_path).rgb(played)
    ends = dialogue_ends(played, history=False)
    shown = [dialogue(played, rgb, load_profile(), end).replies for end in ends]

    assert shown == [[hit(14, 14)], [STOP]]


def test_with_history_they_are_read_but_not_learnt(
    played: EpisodeRecord, tmp_path: Path, with_history: PromptProfile
):
    rgb = PictureStore(tmp_path).rgb(played)
    (end,) = dialogue_ends(played, history=True)
    whole = dialogue(played, rgb, with_history, end)

    assert whole.replies == [WRONG, hit(14, 14), STOP]
    assert whole.learn == (False, True, True)
    assert len(whole.pictures) == 3


def test_what_follows_the_last_reply_to_be_learnt_is_left_out(played: EpisodeRecord):
    record = played.model_copy(update={"learn": [True, False, False]})

    assert dialogue_ends(record, history=True) == [0]
    assert dialogue_ends(record, history=False) == [0]


def test_the_turn_that_stops_is_known(played: EpisodeRecord):
    assert [ends_the_episode(played, end) for end in range(3)] == [False, False, True]
