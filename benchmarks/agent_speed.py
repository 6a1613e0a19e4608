"""How fast the agent clicks, without a server around it."""

from __future__ import annotations

from typing import Any

from benchmarks.pictures import ellipse, picture
from benchmarks.timing import Times, repeat
from ibisagent.actions import Click, Reply, format_reply
from ibisagent.agent import Agent
from ibisagent.episode import Episode
from ibisagent.policies.scripted import next_click
from ibisagent.tools.base import SegmentationTool

TURNS = 4
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
    return {
        "first_click": sum((turns[0] for turns in played), Times()).as_json(),
        "later_click": sum((turn for turns in played for turn in turns[1:]), Times()).as_json(),
        **_caching(agent.tool, repeats),
        **_batching(agent, prompt, repeats),
    }


def _play(agent: Agent, prompt: str, seed: int) -> list[Times]:
    """Turns on a picture: the policy is asked, but the clicks are an annotator's.

    So no turn is the last one, and no click asks for what is marked already.
    """
    episode = Episode(picture(seed), prompt, agent.tool, agent.profile)
    truth = ellipse()
    turns = [Times() for _ in range(TURNS)]
    for turn in turns:
        click, _ = next_click(truth, episode.segmentation.mask)
        with turn.measure():
            agent.policy.replies([episode.observe()])
            episode.apply(format_reply(Reply("", click)))
    return turns


def _caching(tool: SegmentationTool, repeats: int) -> dict[str, Any]:
    """The same click on a picture that is new to the tool, and once it knows the picture."""
    pictures = [picture(seed) for seed in range(50, 50 + repeats)]
    click = Click(0.5, 0.5, positive=True)
    new = repeat(lambda one: tool.set_image(one).segment([click]), pictures)
    known = repeat(lambda one: tool.set_image(one).segment([click]), pictures)
    return {
        "tool_on_new_picture": new.as_json(),
        "tool_on_known_picture": known.as_json(),
        "embedding_cache_speedup": round(new.median / known.median, 2),
    }


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
