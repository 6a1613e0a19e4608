"""How fast the agent clicks, without a server around it."""

from __future__ import annotations

from typing import Any

from benchmarks.pictures import picture
from benchmarks.timing import Times, repeat
from ibisagent.actions import Click, Reply, format_reply
from ibisagent.agent import Agent
from ibisagent.episode import Episode

CLICKS = (
    Click(0.5, 0.5, positive=True),
    Click(0.4, 0.55, positive=True),
    Click(0.6, 0.45, positive=True),
    Click(0.5, 0.3, positive=False),
)
BATCH = 8


def measure(agent: Agent, prompt: str, repeats: int) -> dict[str, Any]:
    """Seconds of a first click (the picture is new) and of later ones, and what batching saves.

    Args:
        agent: Loaded; it is run once before anything is measured.
        prompt: Known to its model.
        repeats: Pictures to measure on.
    """
    _play(agent, prompt, seed=0)  # the first call pays for what is set up once
    played = [_play(agent, prompt, seed) for seed in range(1, repeats + 1)]
    first = sum((turns[0] for turns, _ in played), Times())
    later = sum((turn for turns, _ in played for turn in turns[1:]), Times())
    cold = Times([episode.steps[0].tool_seconds for _, episode in played])
    known = Times([step.tool_seconds for _, episode in played for step in episode.steps[1:]])
    return {
        "first_click": first.as_json(),
        "later_click": later.as_json(),
        "tool_on_new_picture": cold.as_json(),
        "tool_on_known_picture": known.as_json(),
        "embedding_cache_speedup": round(cold.median / known.median, 2),
        **_batching(agent, prompt, repeats),
    }


def _play(agent: Agent, prompt: str, seed: int) -> tuple[list[Times], Episode]:
    """Turns on a picture: the policy is asked, but the clicks are ours, so that none is last."""
    episode = Episode(picture(seed), prompt, agent.tool, agent.profile)
    turns = []
    for place in CLICKS:
        turns.append(Times())
        with turns[-1].measure():
            agent.policy.replies([episode.observe()])
            episode.apply(format_reply(Reply("", place)))
    return turns, episode


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
