"""One device, several runs: each call of a model takes its turn.

A turn is one call, not one run: two runs at work alternate, and whoever asks next waits for one
call and not for a whole volume.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from threading import Condition

from ibisagent.actions import Click
from ibisagent.agent import Agent
from ibisagent.policies.base import Cancelled, Observation, Policy, never
from ibisagent.policies.sampling import SamplingPolicy
from ibisagent.tools.ahead import at_once, embed_ahead
from ibisagent.tools.base import RGB, PreparedImage, Segmentation, SegmentationTool

_LOOK_SECONDS = 0.05
"""How often someone who waits looks whether the wait was cancelled."""


class Interrupted(Exception):
    """The run was cancelled while it waited for its turn."""


class Turns:
    """A lock that is handed on in the order in which it was asked for.

    Args:
        around: Entered for each turn; a lock that is shared with other processes, for example.
    """

    def __init__(self, around: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        self._around = around
        self._changed = Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def turn(self, cancelled: Cancelled = never) -> Iterator[None]:
        """The device for this thread alone; others wait in line.

        Args:
            cancelled: Read while waiting.

        Raises:
            Interrupted: Cancelled before the turn came.
        """
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
        try:
            self._wait_for(ticket, cancelled)
            with self._around():
                yield
        finally:
            with self._changed:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def _wait_for(self, ticket: object, cancelled: Cancelled) -> None:
        with self._changed:
            while self._waiting[0] is not ticket:
                if cancelled():
                    raise Interrupted
                self._changed.wait(_LOOK_SECONDS)
        if cancelled():
            raise Interrupted


def agent_in_turns(
    agent: Agent, turns: Turns, cancelled: Cancelled = never, policy_too: bool = True
) -> Agent:
    """The agent, each of whose calls waits for its turn.

    Args:
        agent: Shared by all.
        turns: Of the device that it is on.
        cancelled: Of the run that will use it.
        policy_too: False for a policy on another machine, which needs no turn on this one.
    """
    policy = _policy_in_turns(agent.policy, turns) if policy_too else agent.policy
    return Agent(policy, _ToolInTurns(agent.tool, turns, cancelled), agent.profile)


def _policy_in_turns(policy: Policy, turns: Turns) -> Policy:
    if isinstance(policy, SamplingPolicy):
        return _SamplingPolicyInTurns(policy, turns)
    return _PolicyInTurns(policy, turns)


@dataclass(frozen=True, eq=False)
class _PolicyInTurns:
    policy: Policy
    turns: Turns

    @property
    def name(self) -> str:
        return self.policy.name

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        with self.turns.turn(cancelled):
            return self.policy.replies(observations, cancelled)


@dataclass(frozen=True, eq=False)
class _SamplingPolicyInTurns(_PolicyInTurns):
    policy: SamplingPolicy

    def sampling(self, temperature: float, seed: int) -> Policy:
        return _policy_in_turns(self.policy.sampling(temperature, seed), self.turns)


@dataclass(frozen=True, eq=False)
class _ToolInTurns:
    tool: SegmentationTool
    turns: Turns
    cancelled: Cancelled

    @property
    def name(self) -> str:
        return self.tool.name

    @property
    def at_once(self) -> int:
        return at_once(self.tool)

    def embed_ahead(self, pictures: Iterable[RGB]) -> None:
        with self.turns.turn(self.cancelled):
            embed_ahead(self.tool, pictures)

    def set_image(self, rgb: RGB) -> PreparedImage:
        with self.turns.turn(self.cancelled):
            return _PreparedInTurns(self.tool.set_image(rgb), self.turns, self.cancelled)


@dataclass(frozen=True, eq=False)
class _PreparedInTurns:
    prepared: PreparedImage
    turns: Turns
    cancelled: Cancelled

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        with self.turns.turn(self.cancelled):
            return self.prepared.segment(clicks, prior)
