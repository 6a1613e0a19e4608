"""What a person might ask for in a labelled picture, and where a person would click.

Everything is in the pixels of the tool's square, axes (row, column).
"""

from __future__ import annotations

from random import Random

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ibisagent.tools.base import Mask
from ibisagent.tools.click_consistency import Point, depth
from ibistrain.clicks.embedded_pictures import EmbeddedPicture

MIN_PIXELS = 12
UNLABELLED = 0.3
"""Share of targets that are regions without a label."""
JOINED, PARTS = 0.1, 0.25
"""Shares of labelled targets that are two joined ones, or one connected part of one."""
NEAR_CENTRE = (0.35, 0.95)
"""Clicks are drawn among points at least this share of the greatest depth deep; the share itself
is drawn anew for each click, since people are more or less careful."""
WRONG = 0.04
"""Share of clicks that are mistakes: of the wrong polarity for the place."""


def draw_target(picture: EmbeddedPicture, rng: Random) -> Mask | None:
    """What people ask for, two such joined, one connected part, or an unlabelled region.

    Returns:
        The target's mask, or None where the picture holds none of the drawn kind.
    """
    if len(picture.regions) and rng.random() < UNLABELLED:
        return np.asarray(picture.regions[rng.randrange(len(picture.regions))])
    values = set(np.unique(picture.labels).tolist())
    present = [ids for ids in picture.targets if values & set(ids)]
    if not present:
        return None
    mask = np.isin(picture.labels, rng.choice(present))
    kind = rng.random()
    if kind < JOINED and len(present) > 1:
        mask |= np.isin(picture.labels, rng.choice(present))
    elif kind < JOINED + PARTS:
        mask = _one_part(mask, rng)
    return mask if mask.sum() >= MIN_PIXELS else None


def draw_click(target: Mask, mask: Mask, rng: Random) -> Point | None:
    """A click near the middle of the larger error; None where there is nothing to correct."""
    missed, spilled = depth(target & ~mask), depth(mask & ~target)
    if not missed.any() and not spilled.any():
        return None
    positive = bool(missed.max() >= spilled.max())
    deep = missed if positive else spilled
    share = rng.uniform(*NEAR_CENTRE)
    rows, columns = np.nonzero(deep >= share * deep.max())
    chosen = rng.randrange(len(rows))
    if rng.random() < WRONG:
        positive = not positive
    return Point(int(rows[chosen]), int(columns[chosen]), positive)


def draw_start(target: Mask, picture: EmbeddedPicture, rng: Random) -> Mask:
    """A mask that somebody made before the first click: mostly near the target, but wrong."""
    kind, radius = rng.random(), rng.randint(1, 8)
    disc = _disc(radius)
    if kind < 0.3:
        return np.asarray(ndimage.binary_dilation(target, disc))
    if kind < 0.6:
        return np.asarray(ndimage.binary_erosion(target, disc))
    if kind < 0.8:
        shift = (rng.randint(-12, 12), rng.randint(-12, 12))
        return np.asarray(np.roll(target, shift, (0, 1)))
    other = draw_target(picture, rng)
    return target.copy() if other is None else other


def _one_part(mask: Mask, rng: Random) -> Mask:
    parts, count = ndimage.label(mask)
    sizes: NDArray[np.int64] = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    large = np.flatnonzero(sizes >= MIN_PIXELS) + 1
    return np.asarray(parts == rng.choice(large.tolist())) if large.size else mask


def _disc(radius: int) -> Mask:
    rows, columns = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(rows**2 + columns**2 <= radius**2)
