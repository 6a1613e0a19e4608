"""Plays whole episodes with a policy and judges them: the figure that training should move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean

from ibisagent.actions import Click, Reply
from ibisagent.episode import BY_ITSELF, Episode, Limits, run
from ibisagent.policies.base import Policy
from ibisagent.prompts import PromptProfile
from ibisagent.tools.base import Segmentation, SegmentationTool
from ibistrain.judging import moves_of
from ibistrain.rewards import RewardWeights, click_reward, trajectory_return
from ibistrain.tasks import Task, TaskSource


@dataclass(frozen=True)
class Judgement:
    """Means over episodes.

    Attributes:
        reward: Return of an episode; see `rewards.trajectory_return`.
        iou: IoU of the final mask with the truth.
        right_clicks: Share of the clicks that lie in the error they are to put right; 0 without
            clicks.
        turns: Actions an episode.
        good_stops: Share of the episodes that the policy ended itself at a good mask.
    """

    reward: float
    iou: float
    right_clicks: float
    turns: float
    good_stops: float


def draw_tasks(source: TaskSource, count: int, seed: int) -> list[Task]:
    """Tasks of a source; the same seed gives the same ones."""
    rng = Random(seed)
    return [source.draw(rng) for _ in range(count)]


def play_tasks(
    policy: Policy,
    tasks: Sequence[Task],
    tool: SegmentationTool,
    profile: PromptProfile,
    weights: RewardWeights,
    limits: Limits,
) -> Judgement:
    """Play every task to its end, side by side, and judge.

    Args:
        policy: Who plays.
        tasks: At least one.
        tool: The segmentation tool.
        profile: The prompt profile.
        weights: Of the rewards.
        limits: Of the episodes.
    """
    starts = [None if t.start is None else Segmentation(t.start, 0.0) for t in tasks]
    episodes = [
        Episode(task.rgb, task.prompt, tool, profile, limits, start)
        for task, start in zip(tasks, starts, strict=True)
    ]
    run(episodes, policy)
    return judge(episodes, tasks, weights)


def judge(episodes: Sequence[Episode], tasks: Sequence[Task], weights: RewardWeights) -> Judgement:
    """Means over finished episodes, one a task."""
    played = [
        (episode, task.truth, list(moves_of(episode, task.truth)))
        for episode, task in zip(episodes, tasks, strict=True)
    ]
    good = [e.stop in BY_ITSELF and m[-1].after >= weights.good for e, _, m in played]
    placed = [
        click_reward(move.reply.action, move.mask, truth) == 0
        for _, truth, moves in played
        for move in moves
        if isinstance(move.reply, Reply) and isinstance(move.reply.action, Click)
    ]
    return Judgement(
        reward=fmean(trajectory_return(moves, truth, weights) for _, truth, moves in played),
        iou=fmean(moves[-1].after for _, _, moves in played),
        right_clicks=fmean(placed) if placed else 0.0,
        turns=fmean(len(moves) for _, _, moves in played),
        good_stops=fmean(good),
    )
