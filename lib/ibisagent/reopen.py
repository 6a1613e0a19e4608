"""From the record of an episode back to an episode that goes on."""

from __future__ import annotations

from dataclasses import replace

from ibisagent.actions import Click, Reply, parse
from ibisagent.agent import Agent
from ibisagent.episode import Author, Episode, Limits, Step
from ibisagent.tools.base import RGB, Segmentation
from ibisagent.trajectory import StepRecord, Trajectory


def reopen(
    record: Trajectory, picture: RGB, agent: Agent, limits: Limits, prompt: str = ""
) -> Episode:
    """Build an episode as its record left it; the tool and the policy are not asked.

    A record holds no logits, so the tool's next call starts from the mask alone.

    Args:
        record: Of an episode on this picture.
        picture: The plain slice, axes (row, column, channel), uint8.
        agent: Who goes on.
        limits: Of what is still to come: the agent may take that many more actions.
        prompt: What is asked for from now on; that of the record if empty.

    Raises:
        InvalidTrajectory: A mask of the record cannot be read.
    """
    start = record.start.decode()
    episode = Episode(
        picture,
        prompt or record.prompt,
        agent.tool,
        agent.profile,
        limits,
        Segmentation(start, 1.0) if start.any() else None,
        [_step(step) for step in record.steps],
        [_step(step) for step in record.undone],
        record.stop,
    )
    episode.limits = allowance(episode, limits)
    return episode


def allowance(episode: Episode, limits: Limits) -> Limits:
    """Limits that let the agent take its full number of actions beside those it has taken."""
    taken = sum(step.author is Author.AGENT for step in episode.steps)
    return replace(limits, max_steps=taken + limits.max_steps)


def _step(record: StepRecord) -> Step:
    click = _click(record)
    by_agent = record.author is Author.AGENT
    reply = parse(record.raw) if by_agent or click is None else Reply("", click)
    return Step(
        author=record.author,
        raw=record.raw,
        reply=reply,
        click=click,
        segmentation=Segmentation(record.mask.decode(), record.score),
        policy_seconds=record.policy_seconds,
        tool_seconds=record.tool_seconds,
    )


def _click(record: StepRecord) -> Click | None:
    action = record.action
    if not record.carried_out or action.x is None or action.y is None:
        return None
    return Click(action.x, action.y, action.kind == "positive")
