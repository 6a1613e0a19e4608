"""How unsure the agent is of an image: which study a person should label next.

The agent plays the same slices several times, each time a little differently. Where it is sure,
it ends with the same mask; where it is not, the masks differ (query by committee, Seung et al.
1992, with samples of one model for a committee). The tool's own score and the number of turns
count as well. Nothing is compared with a truth, since there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random
from statistics import fmean

import SimpleITK as sitk
from pydantic import BaseModel, ConfigDict, Field

from ibisagent.actions import Click, Reply, format_reply, parse
from ibisagent.agent import Agent
from ibisagent.episode import Author, Episode, Limits, run
from ibisagent.metrics import BoolArray, dice
from ibisagent.policies.base import Cancelled, Observation, Policy, never
from ibisagent.policies.sampling import TEMPERATURE, SamplingPolicy
from ibisagent.slices import Plane, SliceView
from ibisagent.volume import is_picture

DISAGREEMENT, TOOL, TURNS = 0.6, 0.2, 0.2
"""Weights of the parts; they add up to 1."""


class Sampling(BaseModel):
    """How the agent is made to vary."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    samples: int = Field(default=4, ge=2, description="Times that each slice is played.")
    temperature: float = Field(
        default=TEMPERATURE, gt=0, description="Of a policy that can sample."
    )
    jitter: float = Field(
        default=0.02,
        gt=0,
        description="Of a policy that cannot: standard deviation of its clicks' shift, as a share "
        "of the picture's side.",
    )
    slices: int = Field(default=3, ge=1, description="Slices of a volume, evenly spaced.")
    plane: Plane = Field(default=Plane.AXIAL, description="Plane in which volumes are cut.")
    max_steps: int = Field(default=6, ge=1, description="Most actions an episode.")


@dataclass(frozen=True)
class Doubt:
    """Parts of the uncertainty, each in [0, 1], means over slices.

    Attributes:
        disagreement: Mean of 1 - Dice over all pairs of samples.
        tool: 1 - the tool's score, over the final masks that are not empty.
        turns: Share of the allowed turns that was used.
    """

    disagreement: float
    tool: float
    turns: float

    @property
    def value(self) -> float:
        """All parts as one number in [0, 1]."""
        return DISAGREEMENT * self.disagreement + TOOL * self.tool + TURNS * self.turns


def uncertainty(
    image: sitk.Image,
    prompt: str,
    agent: Agent,
    seed: int = 0,
    sampling: Sampling | None = None,
    cancelled: Cancelled = never,
) -> float:
    """How unsure the agent is, in [0, 1]; see `assess`."""
    return assess(image, prompt, agent, seed, sampling, cancelled).value


def assess(
    image: sitk.Image,
    prompt: str,
    agent: Agent,
    seed: int = 0,
    sampling: Sampling | None = None,
    cancelled: Cancelled = never,
) -> Doubt:
    """Play the image several times and measure how much the outcomes differ.

    Args:
        image: As `ibisagent.volume.read_image` returns it.
        prompt: What is asked for.
        agent: Whose uncertainty it is. A policy with a method `sampling` draws its words; the
            clicks of any other are shifted a little at random. Pictures are never mirrored or
            cropped, since sides have a meaning.
        seed: The same seed gives the same result, as far as the policy keeps its seed.
        sampling: How the agent is made to vary.
        cancelled: Read before each call of policy and tool; once it is true, the result means
            nothing.

    Raises:
        UnknownPrompt: The agent's model states what it knows, and this is not among it.
        ToolOutOfMemory: The tool's device is too small.
        PolicyFailed: The policy raised.
    """
    agent.profile.check_prompt(prompt)
    how = sampling or Sampling()
    view = SliceView(image, Plane.PICTURE if is_picture(image) else how.plane)
    limits = Limits(max_steps=how.max_steps)
    pictures = [view.rgb(index) for index in _evenly(view.count, how.slices)]
    rounds = []
    for number in range(how.samples):
        # As text, so that the seeds of neighbouring calls do not overlap.
        policy = _varied(agent.policy, Random(f"{seed}/{number}").getrandbits(31), how)
        episodes = [Episode(rgb, prompt, agent.tool, agent.profile, limits) for rgb in pictures]
        run(episodes, policy, cancelled=cancelled)
        rounds.append(episodes)
    return doubt_of([list(slice_) for slice_ in zip(*rounds, strict=True)])


def doubt_of(slices: Sequence[Sequence[Episode]]) -> Doubt:
    """The doubt in finished episodes.

    Args:
        slices: For each slice its episodes, at least one.
    """
    episodes = [episode for samples in slices for episode in samples]
    ends = [episode.segmentation for episode in episodes]
    scores = [min(max(end.score, 0.0), 1.0) for end in ends if end.mask.any()]
    return Doubt(
        disagreement=fmean(
            disagreement([episode.segmentation.mask for episode in samples]) for samples in slices
        ),
        tool=1.0 - fmean(scores) if scores else 0.0,
        turns=fmean(_share_of_turns(episode) for episode in episodes),
    )


def disagreement(masks: Sequence[BoolArray]) -> float:
    """Mean of 1 - Dice over all pairs, in [0, 1]; 0 for fewer than two masks."""
    pairs = [1.0 - dice(first, second) for first, second in combinations(masks, 2)]
    return fmean(pairs) if pairs else 0.0


class JitteredPolicy:
    """A policy whose clicks are shifted at random; its other replies are left as they are.

    Args:
        policy: Who replies.
        sigma: Standard deviation of the shift, as a share of the picture's side.
        seed: Of the shifts.
    """

    def __init__(self, policy: Policy, sigma: float, seed: int) -> None:
        self._policy = policy
        self._sigma = sigma
        self._rng = Random(seed)
        self.name = f"{policy.name}+jitter"

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        """The policy's replies with their clicks shifted.

        Raises:
            PolicyFailed: The model could not be run.
            PolicyUnavailable: The server that runs the model does not answer.
        """
        return [self._shifted(text) for text in self._policy.replies(observations, cancelled)]

    def _shifted(self, text: str) -> str:
        reply = parse(text)
        if not (isinstance(reply, Reply) and isinstance(reply.action, Click)):
            return text
        x, y = (
            min(max(value + self._rng.gauss(0.0, self._sigma), 0.0), 1.0)
            for value in (reply.action.x, reply.action.y)
        )
        return format_reply(Reply(reply.thought, Click(x, y, reply.action.positive)))


def _varied(policy: Policy, seed: int, how: Sampling) -> Policy:
    if isinstance(policy, SamplingPolicy):
        return policy.sampling(how.temperature, seed)
    return JitteredPolicy(policy, how.jitter, seed)


def _evenly(count: int, wanted: int) -> list[int]:
    """Indices in the middles of as many equal stretches."""
    parts = min(count, wanted)
    return [(2 * part + 1) * count // (2 * parts) for part in range(parts)]


def _share_of_turns(episode: Episode) -> float:
    turns = sum(step.author is Author.AGENT for step in episode.steps)
    return min(turns / episode.limits.max_steps, 1.0)
