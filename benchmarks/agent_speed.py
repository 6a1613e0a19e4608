"""How fast the agent clicks, without a server around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.pictures import picture
from benchmarks.timing import Times, repeat
from ibisagent.actions import Click, Reply, format_reply
from ibisagent.agent import Agent
from ibisagent.episode import Episode, Limits, run
from ibisagent.policies.base import Cancelled, Observation, Policy, never

TURNS = 4
BATCH = 8


@dataclass(frozen=True)
class GoesOn:
    """Asks a policy, and clicks elsewhere each turn whatever it says.

    So every episode has the same number of turns, and each turn costs what the policy costs.
    """

    policy: Policy
    name: str = "goes-on"

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        """One click an observation, after the policy's reply to each."""
        self.policy.replies(observations, cancelled=cancelled)
        return [
            format_reply(Reply("", Click(0.3 + 0.1 * (seen.step % 5), 0.5, positive=True)))
            for seen in observations
        ]


def measure(agent: Agent, prompt: str, repeats: int) -> dict[str, Any]:
    """Seconds of a first click (the picture is new) and of later ones, and what batching saves.

    Args:
        agent: Loaded; it is run once before anything is measured.
        prompt: Known to its model.
        repeats: Pictures to measure on.
    """
    _play(agent, prompt, seed=0)  # the first call pays for what is set up once
    episodes = [_play(agent, prompt, seed) for seed in range(1, repeats + 1)]
    turns = [
        [step.policy_seconds + step.tool_seconds for step in episode.steps] for episode in episodes
    ]
    tool = Times([step.tool_seconds for episode in episodes for step in episode.steps[1:]])
    cold = Times([episode.steps[0].tool_seconds for episode in episodes])
    return {
        "first_click": Times([seconds[0] for seconds in turns]).as_json(),
        "later_click": Times([s for seconds in turns for s in seconds[1:]]).as_json(),
        "tool_on_new_picture": cold.as_json(),
        "tool_on_known_picture": tool.as_json(),
        "embedding_cache_speedup": round(cold.median / tool.median, 2),
        **_batching(agent, prompt, repeats),
    }


def _play(agent: Agent, prompt: str, seed: int) -> Episode:
    limits = Limits(max_steps=TURNS, max_repeats=TURNS + 1)
    episode = Episode(picture(seed), prompt, agent.tool, agent.profile, limits)
    run([episode], GoesOn(agent.policy))
    return episode


def _batching(agent: Agent, prompt: str, repeats: int) -> dict[str, Any]:
    """A policy's replies to several slices: together, and one after the other."""
    seen = [
        Episode(picture(seed), prompt, agent.tool, agent.profile).observe()
        for seed in range(100, 100 + BATCH)
    ]
    together = repeat(agent.policy.replies, [seen] * repeats)
    alone = repeat(lambda many: [agent.policy.replies([one]) for one in many], [seen] * repeats)
    return {
        f"replies_to_{BATCH}_at_once": together.as_json(),
        f"replies_to_{BATCH}_one_by_one": alone.as_json(),
        "batching_speedup": round(alone.median / together.median, 2),
    }
