"""A state: a mask on a picture, on the way to a target."""

from __future__ import annotations

from dataclasses import dataclass

from ibisagent.tools.base import Mask

GAIN = 0.03
"""A state is settled when no later click of its episode raised the IoU by more than this."""


@dataclass(frozen=True, eq=False)
class State:
    """One moment of an episode.

    Attributes:
        picture: Name of the picture in the corpus.
        target: What is being segmented.
        mask: The mask of the moment, axes (row, column).
        settled: Whether the annotator's later clicks did not help, so that stopping is right
            even if the mask is not good.
    """

    picture: str
    target: str
    mask: Mask
    settled: bool
