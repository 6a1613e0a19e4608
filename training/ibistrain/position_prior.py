"""The position prior: the best constant click for each label.

A policy that has learnt no more than where things usually are cannot beat it, so it is the
baseline of every first click.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ibisagent.actions import Click
from ibisagent.evaluation_cases import Case
from ibisagent.slices import Plane, SliceView
from ibisagent.tools.base import Mask
from ibisagent.volume import read_image
from ibistrain.labelled_picture import LabelledPicture

GRID = 64
"""Side of the grid of candidate positions."""


def position_prior(pictures: Iterable[LabelledPicture]) -> dict[str, Click]:
    """For each target the click that hits most often, each subject counting once.

    Args:
        pictures: The training side of the corpus.
    """
    by_subject: dict[str, dict[tuple[str, str], list[NDArray[np.float64]]]] = {}
    for picture in pictures:
        for target in picture.present:
            subjects = by_subject.setdefault(target, {})
            maps = subjects.setdefault((picture.set_name, picture.subject), [])
            maps.append(_on_grid(picture.truth(target)))
    return {target: _best(subjects) for target, subjects in by_subject.items()}


def hit(click: Click, truth: Mask) -> bool:
    """Whether a click lies on the target, axes of the truth (row, column)."""
    return bool(truth[click.to_pixel(*truth.shape)])


def _best(subjects: Mapping[tuple[str, str], list[NDArray[np.float64]]]) -> Click:
    chance = np.mean([np.mean(maps, axis=0) for maps in subjects.values()], axis=0)
    row, column = np.unravel_index(int(chance.argmax()), chance.shape)
    return Click.from_pixel(int(row), int(column), GRID, GRID)


def _on_grid(mask: Mask) -> NDArray[np.float64]:
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.resize((GRID, GRID), Image.Resampling.NEAREST), float) / 255


def prior_hits(
    cases: Iterable[Case], prior: Mapping[str, Click]
) -> dict[tuple[str, str], list[bool]]:
    """Whether the prior's click lies on the target, for the questions of an evaluation.

    Args:
        cases: Questions, as `ibisagent.evaluation_cases.plan_cases` gives them.
        prior: From `position_prior`; a label it does not know is passed over.

    Returns:
        (set, label) to one outcome for each question whose target is present.
    """
    hits: dict[tuple[str, str], list[bool]] = {}
    for item, group in groupby(cases, key=lambda case: case.item):
        truths = item.read()
        views: dict[Plane, SliceView] = {}
        for case in group:
            if case.present and case.label in prior:
                view = views.setdefault(case.plane, SliceView(read_image(item.image), case.plane))
                truth = view.from_volume(truths[case.label], case.index)
                place = (item.set_name, case.label)
                hits.setdefault(place, []).append(hit(prior[case.label], truth))
    return hits
