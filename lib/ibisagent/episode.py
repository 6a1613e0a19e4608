"""The episode: the one decision process of this project.

An agent looks at the image with the current mask, writes a thought and one action, the tool
turns all clicks so far and the previous mask into a new mask, and so on until the agent
terminates (arXiv 2601.03054, section 3). A person may click, undo or stop at any moment.
Inference, simulation, reinforcement learning and evaluation all run this file.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ibisagent.actions import Click, Malformed, Reply, Terminate, parse
from ibisagent.errors import EpisodeEnded, IBISAgentError, InvalidRequest, PolicyFailed
from ibisagent.overlay import overlay
from ibisagent.policies.base import Cancelled, Observation, Policy, never
from ibisagent.prompts import PromptProfile
from ibisagent.tools.ahead import at_once, embed_ahead
from ibisagent.tools.base import RGB, Mask, Segmentation, SegmentationTool

logger = logging.getLogger(__name__)


class StopReason(str, Enum):
    """Why an episode ended."""

    TERMINATED = "terminated"
    """The agent was satisfied."""
    NOT_PRESENT = "not_present"
    """The agent terminated before any click: it sees no target."""
    STEP_LIMIT = "step_limit"
    REPEATED_ACTION = "repeated_action"
    MALFORMED = "malformed"
    """Too many replies in a row could not be understood."""
    CANCELLED = "cancelled"


BY_ITSELF = frozenset((StopReason.TERMINATED, StopReason.NOT_PRESENT))
"""Where the agent ended the episode, and nothing and nobody else."""


class Author(str, Enum):
    """Who took a step."""

    AGENT = "agent"
    HUMAN = "human"


@dataclass(frozen=True)
class Limits:
    """When an episode ends without the agent's consent.

    Attributes:
        max_steps: Actions of the agent; the published evaluation allows 20.
        max_repeats: Equal actions in a row; the published evaluation stops at 3.
        max_malformed: Replies in a row that hold no action.
    """

    max_steps: int = 20
    max_repeats: int = 3
    max_malformed: int = 2


@dataclass(frozen=True, eq=False)
class Step:
    """One turn: what was written, what was done, and the segmentation after it.

    Attributes:
        author: Who acted.
        raw: The policy's reply, unchanged; empty for a person.
        reply: The reply as understood; a person's click is a reply without a thought.
        click: The click that the tool carried out; None where the reply was malformed,
            terminated, or repeated itself once too often.
        segmentation: State after the step; unchanged where no click was carried out.
        policy_seconds: Time the policy took.
        tool_seconds: Time the tool took.
    """

    author: Author
    raw: str
    reply: Reply | Malformed
    click: Click | None
    segmentation: Segmentation
    policy_seconds: float = 0.0
    tool_seconds: float = 0.0


@dataclass(eq=False)
class Episode:
    """One image, one request, and all that has happened to them.

    Attributes:
        image: The plain picture, axes (row, column, channel), uint8.
        prompt: What the user asked for.
        start: The segmentation before the first step: empty, or the user's starting mask.
        steps: Steps that stand, oldest first.
        undone: Steps taken back, in the order in which they were taken back.
        stop: Why the episode ended, or None while it goes on.
    """

    image: RGB
    prompt: str
    tool: SegmentationTool
    profile: PromptProfile
    limits: Limits = field(default_factory=Limits)
    start: Segmentation | None = None
    steps: list[Step] = field(default_factory=list)
    undone: list[Step] = field(default_factory=list)
    stop: StopReason | None = None

    def __post_init__(self) -> None:
        self._initial = self.start or Segmentation.empty(*self.image.shape[:2])
        if self._initial.mask.shape != self.image.shape[:2]:
            raise InvalidRequest(
                f"The starting mask is of size {self._initial.mask.shape}, the picture of "
                f"{self.image.shape[:2]} (rows, columns).",
                "Give a starting mask on the grid of the image.",
            )

    @property
    def segmentation(self) -> Segmentation:
        """The present segmentation."""
        return self.steps[-1].segmentation if self.steps else self._initial

    @property
    def clicks(self) -> tuple[Click, ...]:
        """Clicks that were carried out, by agent and human, oldest first."""
        return tuple(step.click for step in self.steps if step.click is not None)

    @property
    def answer(self) -> str:
        """The agent's closing sentence, empty while it has not terminated."""
        last = self.steps[-1].reply if self.steps else None
        return last.answer if isinstance(last, Reply) else ""

    def observe(self) -> Observation:
        """What the policy sees at this turn."""
        past = self._past_turns() if self.profile.history else []
        masks = [mask for mask, _ in past] + [self.segmentation.mask]
        turns = [self.profile.turn_text(self.prompt, first=not mask.any()) for mask in masks]
        colour, alpha = self.profile.overlay_colour, self.profile.overlay_alpha
        return Observation(
            messages=self.profile.messages(turns, [raw for _, raw in past]),
            pictures=tuple(overlay(self.image, mask, colour, alpha) for mask in masks),
            mask=self.segmentation.mask,
            clicks=self.clicks,
            step=len(self.steps),
        )

    def apply(self, raw: str, policy_seconds: float = 0.0, tool_seconds: float = 0.0) -> Step:
        """Carry out a policy's reply.

        Args:
            raw: The reply.
            policy_seconds: Time that it took, for the record.
            tool_seconds: Time that the tool has spent on the picture already, likewise.

        Raises:
            EpisodeEnded: The episode has stopped; a human click or an undo reopens it.
        """
        if self.stop is not None:
            raise EpisodeEnded(
                f"The episode has ended ({self.stop.value}).", "Add a click or undo to reopen it."
            )
        reply = parse(raw)
        self.stop = self._stop_before_tool(reply)
        action = reply.action if isinstance(reply, Reply) else None
        click = action if self.stop is None and isinstance(action, Click) else None
        segmentation, seconds = self._segment(click) if click else (self.segmentation, 0.0)
        seconds += tool_seconds
        step = Step(Author.AGENT, raw, reply, click, segmentation, policy_seconds, seconds)
        self.steps.append(step)
        turns = sum(past.author is Author.AGENT for past in self.steps)
        if self.stop is None and turns >= self.limits.max_steps:
            self.stop = StopReason.STEP_LIMIT
        return step

    def click(self, click: Click) -> Step:
        """Carry out a person's click and reopen the episode if it had ended."""
        segmentation, seconds = self._segment(click)
        step = Step(Author.HUMAN, "", Reply("", click), click, segmentation, 0.0, seconds)
        self.steps.append(step)
        self.stop = None
        return step

    def undo(self) -> Step | None:
        """Take back the last step, of agent or human, and reopen the episode.

        Returns:
            The step taken back, or None where there was none.
        """
        if not self.steps:
            return None
        self.undone.append(self.steps.pop())
        self.stop = None
        return self.undone[-1]

    def cancel(self) -> None:
        """End the episode; what stands so far stays."""
        if self.stop is None:
            self.stop = StopReason.CANCELLED

    def _past_turns(self) -> list[tuple[Mask, str]]:
        """The agent's earlier turns: the mask it saw and what it wrote."""
        before = [self._initial, *(step.segmentation for step in self.steps)]
        return [
            (seen.mask, step.raw)
            for seen, step in zip(before, self.steps, strict=False)
            if step.author is Author.AGENT
        ]

    def _segment(self, click: Click) -> tuple[Segmentation, float]:
        began = time.perf_counter()
        prior = self.segmentation if self.segmentation.mask.any() else None
        segmentation = self.tool.set_image(self.image).segment([*self.clicks, click], prior)
        return segmentation, time.perf_counter() - began

    def _stop_before_tool(self, reply: Reply | Malformed) -> StopReason | None:
        """Whether this reply ends the episode without a call of the tool."""
        if isinstance(reply, Malformed):
            recent = self._recent_agent_replies(self.limits.max_malformed - 1)
            full = len(recent) == self.limits.max_malformed - 1
            nonsense = full and all(isinstance(past, Malformed) for past in recent)
            return StopReason.MALFORMED if nonsense else None
        if isinstance(reply.action, Terminate):
            seen = self.segmentation.mask.any() or self.clicks
            return StopReason.TERMINATED if seen else StopReason.NOT_PRESENT
        recent = self._recent_agent_replies(self.limits.max_repeats - 1)
        full = len(recent) == self.limits.max_repeats - 1
        same = full and all(isinstance(p, Reply) and p.action == reply.action for p in recent)
        return StopReason.REPEATED_ACTION if same else None

    def _recent_agent_replies(self, count: int) -> list[Reply | Malformed]:
        """The last replies of the agent since a person last stepped in."""
        replies: list[Reply | Malformed] = []
        for step in reversed(self.steps):
            if step.author is Author.HUMAN or len(replies) == count:
                break
            replies.append(step.reply)
        return replies


OnStep = Callable[[Episode, Step], None]


def run(
    episodes: Sequence[Episode],
    policy: Policy,
    on_step: OnStep | None = None,
    cancelled: Cancelled = never,
    between: Callable[[], None] | None = None,
) -> None:
    """Play episodes side by side until all have ended.

    The policy is asked for all open episodes at once, so that a model can batch; the tool looks
    at the pictures that are clicked on for the first time at once where it gains by that
    (`ibisagent.tools.ahead`), and makes their masks one by one. `cancelled` is read before every
    call of the policy and of the tool, and by the policy while it writes; a reply that was being
    written is thrown away. `between` is called before the policy is asked, and once more when all
    have ended: there a person may click into an episode, or take a step back, which reopens it.

    Raises:
        PolicyFailed: The policy raised. Steps taken so far stay in the episodes.
        PolicyUnavailable: The policy's server does not answer; likewise.
    """
    while True:
        if between is not None:
            between()
        open_episodes = [episode for episode in episodes if episode.stop is None]
        if not open_episodes or cancelled():
            break
        began = time.perf_counter()
        seen = [episode.observe() for episode in open_episodes]
        replies = _ask(policy, seen, cancelled)
        seconds = (time.perf_counter() - began) / len(open_episodes)
        ahead = {} if cancelled() else _embed_ahead(open_episodes, replies)
        for episode, raw in zip(open_episodes, replies, strict=True):
            if cancelled():
                break
            step = episode.apply(raw, seconds, ahead.get(id(episode), 0.0))
            if on_step is not None:
                on_step(episode, step)
    for episode in episodes:
        episode.cancel()


def _embed_ahead(episodes: Sequence[Episode], replies: Sequence[str]) -> dict[int, float]:
    """Let the tool look at all pictures at once that these replies click on.

    Returns:
        Identity of an episode -> its share of the seconds; empty where nothing was gained.
    """
    tool = episodes[0].tool
    if at_once(tool) < 2:
        return {}
    clicked = [
        episode
        for episode, raw in zip(episodes, replies, strict=True)
        if episode.tool is tool and not episode.clicks and _clicks(raw)
    ]
    if len(clicked) < 2:
        return {}
    began = time.perf_counter()
    embed_ahead(tool, (episode.image for episode in clicked))
    seconds = (time.perf_counter() - began) / len(clicked)
    return {id(episode): seconds for episode in clicked}


def _clicks(raw: str) -> bool:
    reply = parse(raw)
    return isinstance(reply, Reply) and isinstance(reply.action, Click)


def _ask(policy: Policy, observations: list[Observation], cancelled: Cancelled) -> list[str]:
    try:
        return policy.replies(observations, cancelled=cancelled)
    except IBISAgentError:
        raise
    except Exception as error:
        logger.exception("policy %s failed", policy.name)
        raise PolicyFailed(
            f"The policy {policy.name} failed: {error}.",
            "See the log for details; try another policy or a smaller image.",
        ) from error
