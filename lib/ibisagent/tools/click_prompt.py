"""How clicks and the mask so far are put to LiteMedSAM's prompt encoder, in training and in use.

A click is said twice: as a point, as in Segment Anything, and as a disc drawn into the mask that
is fed back, where the few convolutions that read the mask see it at once. That is what lets
clicks be learnt in an hour.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ibisagent.tools.click_consistency import Point
from ibisagent.tools.square_frame import CERTAIN

RADIUS = 3
"""Of a click's disc, pixels of the square."""
DRAWN = 2 * CERTAIN
"""Logit of a click's disc: surer than any mask."""


def blank(side: int) -> NDArray[np.float32]:
    """Logits of "nothing yet", axes (row, column)."""
    return np.full((side, side), -CERTAIN, np.float32)


def with_clicks(logits: NDArray[np.float32], clicks: Sequence[Point]) -> NDArray[np.float32]:
    """Logits of the mask so far, with each click drawn into them.

    Args:
        logits: Of the square, axes (row, column); not changed.
        clicks: In its pixels, oldest first; later ones are drawn over earlier ones.
    """
    drawn = logits.clip(-CERTAIN, CERTAIN)
    for click in clicks:
        top, left = max(0, click.row - RADIUS), max(0, click.column - RADIUS)
        part = drawn[top : click.row + RADIUS + 1, left : click.column + RADIUS + 1]
        rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
        distance = (rows + top - click.row) ** 2 + (columns + left - click.column) ** 2
        part[distance <= RADIUS**2] = DRAWN if click.positive else -DRAWN
    return drawn


def points_of(clicks: Sequence[Sequence[Point]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Points of several prompts with equally many clicks, as the prompt encoder takes them.

    Returns:
        Coordinates, axes (prompt, click, (x, y)), pixels of the square; and 1 for positive, 0
        for negative, axes (prompt, click).
    """
    places = [[(click.column, click.row) for click in one] for one in clicks]
    signs = [[int(click.positive) for click in one] for one in clicks]
    return (
        torch.tensor(places, dtype=torch.float32, device=device),
        torch.tensor(signs, dtype=torch.int64, device=device),
    )
