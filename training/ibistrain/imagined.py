"""Imagined states: masks as a tool might have left them, made from the truth without a tool.

Simulated episodes are dear, so there are few. Imagined states cost next to nothing and exist for
every picture: a part is missing or all but a part, something is spilled, the mask sits on
something else, or it is good. They complete the simulated ones and do not replace them, since
they lack a tool's habits.
"""

from __future__ import annotations

import math
from random import Random

import numpy as np
from scipy import ndimage

from ibisagent.tools.base import Mask
from ibistrain.corpus import LabelledPicture
from ibistrain.states import State


def imagine(picture: LabelledPicture, rng: Random) -> State:
    """A state on a picture; half of them are good enough to stop.

    Args:
        picture: Must show at least one target.
        rng: Draws target and fault.
    """
    target = rng.choice(picture.present)
    truth = picture.truth(target)
    others = [name for name in picture.present if name != target]
    if rng.random() < 0.5:
        mask = _roughen(truth, rng)
    elif others and rng.random() < 0.3:
        mask = _roughen(picture.truth(rng.choice(others)), rng)
    else:
        mask = rng.choice((_half, _with_blob, _part))(truth, rng)
    return State(picture.name, target, mask if mask.any() else truth, settled=False)


def _roughen(mask: Mask, rng: Random) -> Mask:
    """The mask with its border moved by about one pixel, here out and there in."""
    noise = np.random.default_rng(rng.getrandbits(32)).normal(size=mask.shape)
    smooth = ndimage.gaussian_filter(noise, 3)
    inside = ndimage.gaussian_filter(mask.astype(np.float32), 1)
    # Bounded, so that only the border moves and no specks appear far from it.
    rough: Mask = inside > 0.5 + 0.2 * np.clip(smooth / smooth.std(), -2, 2)
    return rough


def _half(truth: Mask, rng: Random) -> Mask:
    """What lies on one side of a line that cuts off between a quarter and three quarters."""
    rows, columns = np.nonzero(truth)
    angle = rng.uniform(0, 2 * math.pi)
    grid_rows, grid_columns = np.indices(truth.shape)
    along = math.cos(angle) * rows + math.sin(angle) * columns
    cut = np.quantile(along, rng.uniform(0.25, 0.75))
    side: Mask = math.cos(angle) * grid_rows + math.sin(angle) * grid_columns < cut
    return truth & side


def _with_blob(truth: Mask, rng: Random) -> Mask:
    """The target, and an ellipse over its border that is about as large."""
    rows, columns = np.nonzero(truth)
    centre = rng.randrange(len(rows))
    radius = _radius(truth) * rng.uniform(0.6, 1.2)
    angle = rng.uniform(0, 2 * math.pi)
    row = rows[centre] + radius * math.cos(angle)
    column = columns[centre] + radius * math.sin(angle)
    return truth | _ellipse(truth.shape, row, column, radius, rng)


def _part(truth: Mask, rng: Random) -> Mask:
    """A small piece: of a large organ, a tool often takes what is even around the click."""
    rows, columns = np.nonzero(truth)
    centre = rng.randrange(len(rows))
    radius = max(2.0, _radius(truth) * rng.uniform(0.1, 0.5))
    return truth & _ellipse(truth.shape, rows[centre], columns[centre], radius, rng)


def _radius(truth: Mask) -> float:
    """Of the disc with as many pixels."""
    return math.sqrt(truth.sum() / math.pi)


def _ellipse(shape: tuple[int, ...], row: float, column: float, radius: float, rng: Random) -> Mask:
    stretch = rng.uniform(0.7, 1.4)
    rows, columns = np.indices(shape)
    distance = ((rows - row) * stretch) ** 2 + ((columns - column) / stretch) ** 2
    inside: Mask = distance < radius**2
    return inside
