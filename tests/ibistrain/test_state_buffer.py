from __future__ import annotations

from random import Random

import numpy as np
import pytest
from harness.fake_tool import DiscTool, disc
from harness.list_policy import TERMINATE, click

from ibisagent.episode import Episode, Limits
from ibisagent.errors import InvalidRequest
from ibisagent.prompts import load_profile
from ibistrain.state_buffer import BufferNote, StateBuffer
from ibistrain.tasks import Task

SHAPE = (30, 40)


class Numbered:
    """Tasks 0 to 9, each a disc in its own column."""

    def draw(self, rng: Random) -> Task:
        return self.find(str(rng.randrange(10)), "the disc")

    def find(self, key: str, prompt: str) -> Task:
        rgb = np.full((*SHAPE, 3), 10 * int(key), np.uint8)
        return Task(key, prompt, rgb, disc(SHAPE, 15, 4 * int(key), 6))


def buffer(seed: int = 0, fresh: float = 0.5, capacity: int = 8, turns: int = 5) -> StateBuffer:
    limits = Limits(max_steps=turns)
    return StateBuffer(Numbered(), DiscTool(), load_profile(), limits, fresh, capacity, seed)


def replies(rng: Random) -> list[str]:
    return [click(rng.random(), rng.random()), TERMINATE, click(rng.random(), rng.random())]


def test_all_actions_start_from_the_same_state_and_leave_it_alone():
    states = buffer()
    number, state = states.draw()

    task, episodes = states.play(number, [click(0.1, 0.1), click(0.9, 0.9), TERMINATE])

    assert task is state.task
    assert state.episode.steps == []
    assert [len(episode.steps) for episode in episodes] == [1, 1, 1]
    assert not np.array_equal(episodes[0].segmentation.mask, episodes[1].segmentation.mask)
    assert episodes[2].stop is not None


def test_equal_replies_ask_the_tool_once():
    tool = DiscTool()
    states = StateBuffer(Numbered(), tool, load_profile(), Limits())
    number, _ = states.draw()

    _, episodes = states.play(number, 4 * [click(0.1, 0.1)])

    assert len(tool.asked) == 1
    assert len(episodes) == 4


def test_a_successor_comes_back_with_its_past_and_its_overlay():
    states = buffer(fresh=1e-9)
    number, first = states.draw()
    _, (after,) = states.play(number, [click(0.5, 0.5)])

    _, second = states.draw()

    assert [step.raw for step in second.episode.steps] == [click(0.5, 0.5)]
    seen = second.episode.observe()
    assert np.array_equal(seen.mask, after.segmentation.mask)
    assert not np.array_equal(seen.pictures[-1], first.episode.observe().pictures[-1])


def test_an_ended_episode_has_no_successor():
    states = buffer(turns=1)
    number, _ = states.draw()
    states.play(number, [TERMINATE, click(0.1, 0.1), "nonsense"])

    assert len(states) == 0


def test_numbers_are_never_used_twice_and_old_successors_give_way():
    states, rng, seen = buffer(capacity=2), Random(0), set()
    for _ in range(60):
        number, _ = states.draw()
        assert number not in seen
        seen.add(number)
        states.play(number, replies(rng))
        assert len(states) <= 2


def test_actions_cannot_be_handed_in_twice():
    states = buffer()
    number, _ = states.draw()
    states.play(number, [TERMINATE])

    with pytest.raises(KeyError):
        states.play(number, [TERMINATE])


def walk(states: StateBuffer, turns: int, rng: Random) -> list[tuple[int, str, bytes]]:
    """Draw two states ahead of judging them, as the trainer's loader does."""
    seen: list[tuple[int, str, bytes]] = []
    ahead: list[int] = []
    for _ in range(turns):
        number, state = states.draw()
        ahead.append(number)
        picture = state.episode.observe().pictures[-1]
        seen.append((number, state.task.key, picture.tobytes()))
        if len(ahead) > 2:
            states.play(ahead.pop(0), replies(rng))
    return seen


def test_a_run_that_was_broken_off_goes_on_as_if_it_had_not_been():
    whole = buffer(seed=3)
    walk(whole, 20, Random(1))
    note = BufferNote.model_validate_json(whole.note().model_dump_json())
    waiting = [entry.number for entry in note.waiting]
    expected = walk(whole, 20, Random(2))

    resumed = buffer(seed=99)
    resumed.resume(note)
    again = [resumed.draw()[0] for _ in waiting]

    assert len(waiting) == 2
    assert again == waiting
    assert walk(resumed, 20, Random(2)) == expected


def test_other_data_are_refused_on_resuming():
    class Fewer(Numbered):
        def find(self, key: str, prompt: str) -> Task:
            raise InvalidRequest("no such task", "give the same data")

    states = buffer()
    states.draw()
    other = StateBuffer(Fewer(), DiscTool(), load_profile(), Limits())

    with pytest.raises(InvalidRequest):
        other.resume(states.note())


def test_a_starting_mask_stands_at_the_beginning():
    class Started(Numbered):
        def find(self, key: str, prompt: str) -> Task:
            task = super().find(key, prompt)
            return Task(key, prompt, task.rgb, task.truth, disc(SHAPE, 5, 5, 3))

    states = StateBuffer(Started(), DiscTool(), load_profile(), Limits())
    _, state = states.draw()

    assert isinstance(state.episode, Episode)
    assert state.episode.segmentation.mask[5, 5]


def test_episodes_may_begin_some_clicks_ahead():
    limits = Limits(max_steps=6)
    states = StateBuffer(Numbered(), DiscTool(), load_profile(), limits, 1.0, seed=1, ahead=0.5)
    drawn = [states.draw()[1] for _ in range(60)]
    clicks = [len(state.episode.steps) for state in drawn]
    assert set(clicks) <= {0, 1, 2, 3}
    assert 15 < clicks.count(0) < 50
    assert all(state.episode.stop is None for state in drawn)
    hits = [s.task.truth[s.episode.clicks[0].to_pixel(*SHAPE)] for s in drawn if s.episode.clicks]
    assert all(hits)


def test_a_head_start_that_would_use_up_the_turns_is_not_taken():
    limits = Limits(max_steps=1)
    states = StateBuffer(Numbered(), DiscTool(), load_profile(), limits, 1.0, ahead=1.0)
    assert all(states.draw()[1].episode.stop is None for _ in range(10))
    assert all(not states.draw()[1].episode.steps for _ in range(10))


def test_a_head_start_is_noted_and_played_again():
    def make() -> StateBuffer:
        limits = Limits(max_steps=6)
        return StateBuffer(Numbered(), DiscTool(), load_profile(), limits, 1.0, seed=3, ahead=1.0)

    first, second = make(), make()
    number, state = first.draw()
    second.resume(BufferNote.model_validate_json(first.note().model_dump_json()))
    again, same = second.draw()
    assert (again, len(same.episode.steps)) == (number, len(state.episode.steps))
    assert np.array_equal(same.episode.segmentation.mask, state.episode.segmentation.mask)
