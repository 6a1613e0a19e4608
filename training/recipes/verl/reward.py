"""The return of an episode, for verl: a number and the figures to monitor."""

from __future__ import annotations

from ibisagent.episode import BY_ITSELF, Episode
from ibisagent.tools.base import Mask
from ibistrain.judging import moves_of
from ibistrain.rewards import RewardWeights, trajectory_return

WEIGHTS = RewardWeights()


def episode_return(episode: Episode, truth: Mask) -> tuple[float, dict[str, float]]:
    """Return of a finished episode, and its figures.

    Args:
        episode: Played to its end.
        truth: The target, axes (row, column).
    """
    moves = list(moves_of(episode, truth))
    last = moves[-1].after if moves else 0.0
    by_itself = episode.stop in BY_ITSELF
    figures = {
        "iou": last,
        "turns": float(len(moves)),
        "good_stop": float(by_itself and last >= WEIGHTS.good),
    }
    return trajectory_return(moves, truth, WEIGHTS), figures
