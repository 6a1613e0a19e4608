"""Imagined states: masks as a tool might have left them, made from the truth without a tool.

Simulated episodes are dear, so there are few. Imagined states cost next to nothing and exist for
every picture: a part is missing, something is spilled, the mask sits on something else, or it is
good. They complete the simulated ones and do not replace them, since they lack a tool's habits.
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
    elif rng.random() < 0.5:
        mask = truth & _half_plane(truth, rng)
    else:
        mask = truth | _blob_beside(truth, rng)
    return State(picture.name, target, mask if mask.any() else truth, settled=False)


def _roughen(mask: Mask, rng: Random) -> Mask:
    """The mask with its border moved by about one pixel, here out and there in."""
    noise = np.random.default_rng(rng.getrandbits(32)).normal(size=mask.shape)
    smooth = ndimage.gaussian_filter(noise, 3)
    inside = ndimage.gaussian_filter(mask.astype(np.float32), 1)
    # Bounded, so that only the border moves and no specks appear far from it.
    rough: Mask = inside > 0.5 + 0.2 * np.clip(smooth / smooth.std(), -2, 2)
    return rough


def _half_plane(truth: Mask, rng: Random) -> Mask:
    """One side of a line through the target that cuts off between a quarter and three quarters."""
    rows, columns = np.nonzero(truth)
    angle = rng.uniform(0, 2 * math.pi)
    grid_rows, grid_columns = np.indices(truth.shape)
    along = math.cos(angle) * rows + math.sin(angle) * columns
    cut = np.quantile(along, rng.uniform(0.25, 0.75))
    side: Mask = math.cos(angle) * grid_rows + math.sin(angle) * grid_columns < cut
    return side


def _blob_beside(truth: Mask, rng: Random) -> Mask:
    """An ellipse over the target's border, about as large as the target."""
    rows, columns = np.nonzero(truth)
    centre = rng.randrange(len(rows))
    radius = math.sqrt(truth.sum() / math.pi) * rng.uniform(0.6, 1.2)
    stretch, angle = rng.uniform(0.7, 1.4), rng.uniform(0, 2 * math.pi)
    row = rows[centre] + radius * math.cos(angle)
    column = columns[centre] + radius * math.sin(angle)
    grid_rows, grid_columns = np.indices(truth.shape)
    distance = ((grid_rows - row) * stretch) ** 2 + ((grid_columns - column) / stretch) ** 2
    blob: Mask = distance < radius**2
    return blob
