"""Reads an episode as the rewards see it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ibisagent.episode import Author, Episode, StopReason
from ibisagent.metrics import iou
from ibisagent.tools.base import Mask
from ibistrain.rewards import Move

_BY_ITSELF_OR_A_LIMIT = frozenset(StopReason) - {StopReason.CANCELLED}


def moves_of(episode: Episode, truth: Mask) -> Iterator[Move]:
    """The agent's actions, oldest first; a person's clicks change masks but are not judged.

    Args:
        episode: Finished or still going on.
        truth: The target, axes (row, column) of the episode's picture; may be empty.
    """
    before = episode.start.mask if episode.start else np.zeros(truth.shape, bool)
    score, clicks = iou(before, truth), 0
    for number, step in enumerate(episode.steps, start=1):
        after = step.segmentation.mask
        gained = score if after is before else iou(after, truth)
        if step.author is Author.AGENT:
            clicks += 1
            last = number == len(episode.steps)
            ended = last and episode.stop in _BY_ITSELF_OR_A_LIMIT
            yield Move(step.reply, before, score, gained, clicks, ended)
        before, score = after, gained
