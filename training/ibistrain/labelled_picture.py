"""A labelled picture as trainings keep it in memory, and the order of many by set and subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ibisagent.tools.base import RGB, Mask

MAX_SIDE = 384
"""Longest side of a stored picture in pixels: the model's 320 and room for cropping."""
MIN_SHARE = 0.0008
"""Targets smaller than this share of the picture are not asked for: about 25 pixels as the model
sees it."""


@dataclass(frozen=True, eq=False)
class LabelledPicture:
    """One picture with its labels.

    Attributes:
        set_name: Data set.
        subject: Whom it shows.
        name: Item, plane and slice, for messages.
        rgb: The picture, axes (row, column, channel), uint8.
        labels: Label ids, axes (row, column); 0 is background.
        targets: Every target the picture can answer for -> the label ids whose union it is. A
            target whose ids do not occur is absent from the picture; one without ids, which its
            set never shows, from all pictures of the set.
        flip: Whether mirror images are harmless.
    """

    set_name: str
    subject: str
    name: str
    rgb: RGB
    labels: NDArray[np.uint8]
    targets: dict[str, tuple[int, ...]]
    flip: bool

    def truth(self, target: str, labels: NDArray[np.uint8] | None = None) -> Mask:
        """A target's mask, axes (row, column), from these labels or a warped copy of them."""
        found: Mask = np.isin(self.labels if labels is None else labels, self.targets[target])
        return found

    @property
    def present(self) -> list[str]:
        """Targets that are large enough to be asked for."""
        least = MIN_SHARE * self.labels.size
        counts = np.bincount(self.labels.ravel(), minlength=256)
        return [name for name, ids in self.targets.items() if counts[list(ids)].sum() >= least]

    @property
    def absent(self) -> list[str]:
        """Targets that the labels might show and of which there is no pixel at all."""
        values = set(np.unique(self.labels).tolist())
        return [name for name, ids in self.targets.items() if ids and not values & set(ids)]

    @property
    def never(self) -> list[str]:
        """Targets that no picture of the set shows."""
        return [name for name, ids in self.targets.items() if not ids]


def by_set_and_subject(
    pictures: Sequence[LabelledPicture],
) -> dict[str, dict[str, list[LabelledPicture]]]:
    """Pictures that show at least one target, by set and then by subject."""
    groups: dict[str, dict[str, list[LabelledPicture]]] = {}
    for picture in pictures:
        if picture.present:
            subjects = groups.setdefault(picture.set_name, {})
            subjects.setdefault(picture.subject, []).append(picture)
    return groups
