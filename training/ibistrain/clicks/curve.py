"""How good a tool is: Dice against the number of clicks, for the annotator's ideal clicks.

The annotator clicks at the deepest point of the larger error (Sofiiuk et al., arXiv 2102.06583);
NoC@τ is the number of clicks after which Dice first reaches τ, the most clicks where it never
does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from rich.progress import track
from scipy import ndimage

from ibisagent.actions import Click
from ibisagent.metrics import dice
from ibisagent.policies.scripted import next_click
from ibisagent.tools.base import RGB, Mask, Segmentation, SegmentationTool
from ibistrain.labelled_picture import LabelledPicture

MOST_CLICKS = 8
GOOD = 0.85
"""Dice of NoC@85."""
TINY_SHARE = 0.003
"""Targets below this share of their picture are tiny: about 200 pixels of 256 x 256."""
THIN_PIXELS = 2.5
"""Targets nowhere deeper than this, in pixels of 256 on the longer side, are thin."""


@dataclass(frozen=True)
class Curve:
    """One target clicked at.

    Attributes:
        set_name: Data set.
        subject: Whom the picture shows.
        label: The target.
        small: Tiny or thin: reported apart.
        dices: After each click.
    """

    set_name: str
    subject: str
    label: str
    small: bool
    dices: tuple[float, ...]

    @property
    def clicks_to_good(self) -> int:
        """NoC@85."""
        good = [number for number, value in enumerate(self.dices, start=1) if value >= GOOD]
        return good[0] if good else len(self.dices)


def curves(tool: SegmentationTool, cases: Sequence[tuple[LabelledPicture, str]]) -> Iterator[Curve]:
    """Click at each case with a tool."""
    for picture, label in track(cases, description="Clicking", transient=True):
        truth = picture.truth(label)
        dices = tuple(click_through(tool, picture.rgb, truth))
        yield Curve(picture.set_name, picture.subject, label, is_small(truth), dices)


def click_through(tool: SegmentationTool, rgb: RGB, truth: Mask) -> list[float]:
    """Dice after each of `MOST_CLICKS` ideal clicks; a perfect mask needs no further one."""
    prepared = tool.set_image(rgb)
    clicks: list[Click] = []
    dices: list[float] = []
    state = Segmentation.empty(*truth.shape)
    for _ in range(MOST_CLICKS):
        if dices and dices[-1] == 1.0:
            dices.append(1.0)
            continue
        clicks.append(next_click(truth, state.mask)[0])
        state = prepared.segment(clicks, state if len(clicks) > 1 else None)
        dices.append(float(dice(state.mask, truth)))
    return dices


def draw_cases(
    pictures: Sequence[LabelledPicture], each: int, seed: int = 0
) -> list[tuple[LabelledPicture, str]]:
    """Up to `each` pictures of every label of every set."""
    found: dict[tuple[str, str], list[LabelledPicture]] = defaultdict(list)
    for picture in pictures:
        for label in picture.present:
            found[picture.set_name, label].append(picture)
    rng = Random(seed)
    return [
        (picture, label)
        for (_, label), group in sorted(found.items())
        for picture in rng.sample(group, min(each, len(group)))
    ]


def mean_over_labels(found: Iterable[Curve]) -> tuple[list[float], float]:
    """Mean Dice after each click and mean NoC@85, each label of each set counting once."""
    groups: dict[tuple[str, str], list[Curve]] = defaultdict(list)
    for curve in found:
        groups[curve.set_name, curve.label].append(curve)
    dices = [np.mean([curve.dices for curve in group], 0) for group in groups.values()]
    clicks = [np.mean([curve.clicks_to_good for curve in group]) for group in groups.values()]
    return [float(value) for value in np.mean(dices, 0)], float(np.mean(clicks))


def is_small(truth: Mask) -> bool:
    """Whether a target is tiny or thin."""
    if truth.mean() < TINY_SHARE:
        return True
    depth = ndimage.distance_transform_edt(np.pad(truth, 1)).max()
    return bool(depth * 256 / max(truth.shape) < THIN_PIXELS)
