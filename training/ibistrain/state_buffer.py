"""The state buffer: states of real episodes that a trainer of single turns learns on.

GRPO compares several actions of one state. The buffer hands out a state, either the beginning of
a new episode or one that an earlier action led to; plays all actions that the policy tried there
with the real episode; and keeps one of the successors for later. So a trainer that knows nothing
of episodes sees the states that the policy itself brings about, each with a picture of its own.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from pydantic import BaseModel, ConfigDict

from ibisagent.actions import Click, format_reply
from ibisagent.episode import Episode, Limits
from ibisagent.policies.scripted import annotate
from ibisagent.prompts import PromptProfile
from ibisagent.tools.base import Segmentation, SegmentationTool
from ibistrain.tasks import Task, TaskSource

MOST_WAITING = 4096
"""States handed out and never judged, for example as another process judges them."""
MOST_AHEAD = 3
"""Most clicks of the annotator's before the policy's first."""


@dataclass(frozen=True, eq=False)
class State:
    """A moment of an episode at which the policy is to act.

    Attributes:
        task: What the episode began with, and the truth.
        episode: The episode so far; never changed, see `branch`.
    """

    task: Task
    episode: Episode

    def branch(self, raw: str) -> Episode:
        """The episode after a reply; this state stays as it is."""
        episode = dataclasses.replace(self.episode, steps=[*self.episode.steps], undone=[])
        episode.apply(raw)
        return episode


class StateNote(BaseModel):
    """A state on disk: its task and the replies that led to it, to be played again."""

    model_config = ConfigDict(extra="forbid")

    number: int
    task: str
    prompt: str
    replies: list[str]


class BufferNote(BaseModel):
    """A buffer on disk."""

    model_config = ConfigDict(extra="forbid")

    next_number: int
    random: list[Any]
    waiting: list[StateNote]
    """Handed out and not yet judged, oldest first."""
    pool: list[StateNote]
    """Successors, oldest first."""


class StateBuffer:
    """Hands out states and plays the actions that were tried on them.

    Args:
        tasks: Where new episodes come from.
        tool: The segmentation tool; its cache of embeddings serves all actions on a picture.
        profile: The prompt profile.
        limits: Of the episodes.
        fresh: Share of states that begin a new episode, in (0, 1]; all do while no successor
            waits.
        capacity: Most successors kept; the oldest give way.
        ahead: Share of new episodes that begin after some clicks of the scripted annotator.
            Without, a run's first steps see first turns only, where stopping is always wrong.
        seed: Of tasks and choices.
    """

    def __init__(
        self,
        tasks: TaskSource,
        tool: SegmentationTool,
        profile: PromptProfile,
        limits: Limits,
        fresh: float = 0.5,
        capacity: int = 64,
        seed: int = 0,
        ahead: float = 0.0,
    ) -> None:
        self._tasks = tasks
        self._tool = tool
        self._profile = profile
        self._limits = limits
        self._fresh = fresh
        self._capacity = capacity
        self._ahead = ahead
        self._random = Random(seed)
        self._next = 0
        self._again: list[int] = []
        self._waiting: OrderedDict[int, State] = OrderedDict()
        self._pool: OrderedDict[int, State] = OrderedDict()

    def __len__(self) -> int:
        """Number of successors kept."""
        return len(self._pool)

    def draw(self) -> tuple[int, State]:
        """The next state and its number, by which its actions are handed in."""
        if self._again:  # a broken-off run had handed them out without hearing of them again
            number = self._again.pop(0)
            return number, self._waiting[number]
        if self._pool and self._random.random() >= self._fresh:
            number, state = self._pool.popitem(last=False)
        else:
            number, state = self._new_number(), self._go_ahead(self._tasks.draw(self._random))
        self._waiting[number] = state
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popitem(last=False)
        return number, state

    def play(self, number: int, replies: Sequence[str]) -> tuple[Task, list[Episode]]:
        """Carry out every reply on a state that was handed out; one of the successors is kept.

        Args:
            number: The state's.
            replies: What the policy tried, one or more.

        Returns:
            The task, and one episode a reply, with the reply as its last step; equal replies
            share one.

        Raises:
            KeyError: The state was never handed out, or its actions were handed in before.
        """
        state = self._waiting.pop(number)
        played = {raw: state.branch(raw) for raw in dict.fromkeys(replies)}
        episodes = [played[raw] for raw in replies]
        going_on = [episode for episode in episodes if episode.stop is None]
        if going_on:
            successor = State(state.task, self._random.choice(going_on))
            self._pool[self._new_number()] = successor
            if len(self._pool) > self._capacity:
                self._pool.popitem(last=False)
        return state.task, episodes

    def note(self) -> BufferNote:
        """Everything needed to go on later."""
        version, state, gauss = self._random.getstate()
        return BufferNote(
            next_number=self._next,
            random=[version, list(state), gauss],
            waiting=[_note(number, state) for number, state in self._waiting.items()],
            pool=[_note(number, state) for number, state in self._pool.items()],
        )

    def resume(self, note: BufferNote) -> None:
        """Go on from a note: the tool is asked again for every step of the states kept.

        Raises:
            InvalidRequest: The tasks are not those of the run that wrote the note.
        """
        version, state, gauss = note.random
        self._random.setstate((version, tuple(state), gauss))
        self._next = note.next_number
        self._waiting = OrderedDict((n.number, self._replay(n)) for n in note.waiting)
        self._pool = OrderedDict((n.number, self._replay(n)) for n in note.pool)
        self._again = list(self._waiting)

    def _new_number(self) -> int:
        self._next += 1
        return self._next - 1

    def _go_ahead(self, task: Task) -> State:
        """A new episode, now and then some clicks on."""
        state = self._begin(task)
        if not task.truth.any() or self._random.random() >= self._ahead:
            return state
        for _ in range(self._random.randint(1, MOST_AHEAD)):
            mask = state.episode.segmentation.mask
            reply = annotate(task.truth, mask, task.prompt, 1.0, self._random, self._random)
            if not isinstance(reply.action, Click):
                return state
            state.episode.apply(format_reply(reply))
            if state.episode.stop is not None:
                return self._begin(task)
        return state

    def _begin(self, task: Task) -> State:
        start = None if task.start is None else Segmentation(task.start, 0.0)
        episode = Episode(task.rgb, task.prompt, self._tool, self._profile, self._limits, start)
        return State(task, episode)

    def _replay(self, note: StateNote) -> State:
        state = self._begin(self._tasks.find(note.task, note.prompt))
        for raw in note.replies:
            state.episode.apply(raw)
        return state


def _note(number: int, state: State) -> StateNote:
    replies = [step.raw for step in state.episode.steps]
    return StateNote(number=number, task=state.task.key, prompt=state.task.prompt, replies=replies)
