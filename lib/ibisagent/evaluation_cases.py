"""Which questions an evaluation asks: pictures, the labels on them, and labels that are absent.

Of a picture, every label on it is asked for. Of a volume, every label is asked for on a few
slices, evenly spaced over those that show enough of it. Beside a share of these questions stands
another one on the same picture, for a label of the same item that is not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ibisagent.errors import InvalidManifest
from ibisagent.manifest import Item, Manifest, Source, Truths
from ibisagent.slices import Plane, SliceView
from ibisagent.volume import read_image


class CaseSettings(BaseModel):
    """What decides which questions are asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    held_back: bool = Field(default=True, description="Only subjects that training never sees.")
    plane: Plane = Field(default=Plane.AXIAL, description="Plane in which volumes are cut.")
    slices: int = Field(default=3, ge=1, description="Slices a label of a volume.")
    min_pixels: int = Field(default=30, ge=1, description="Least pixels of a label on a slice.")
    absent: float = Field(default=0.25, ge=0, le=1, description="Absent labels a present one.")
    limit: int | None = Field(default=None, ge=1, description="Most questions a set.")
    seed: int = Field(default=0, description="Of every random choice.")


@dataclass(frozen=True)
class Case:
    """One question: find this label on this slice.

    Attributes:
        item: The image.
        label: What is asked for.
        plane: The slice's plane.
        index: The slice's number in it.
        present: Whether the label is there.
    """

    item: Item
    label: str
    plane: Plane
    index: int
    present: bool

    @property
    def key(self) -> str:
        """Name of the case, unique in an evaluation."""
        place = f"{self.item.set_name}/{self.item.name}/{self.plane.value}/{self.index}"
        return f"{place}/{self.label}"

    @property
    def prompt(self) -> str:
        """What the agent is asked."""
        return f"the {self.label}"


def plan_cases(manifests: Sequence[Manifest], settings: CaseSettings) -> list[Case]:
    """The questions, sorted by image; equal settings give equal questions.

    Raises:
        UnreadableImage: An image or a label image cannot be read.
        InvalidManifest: A label image does not fit its image.
    """
    return [case for manifest in manifests for case in _set_cases(manifest, settings)]


def _set_cases(manifest: Manifest, settings: CaseSettings) -> list[Case]:
    items = [item for item in manifest.items if item.is_held_back() or not settings.held_back]
    cases = [case for item in items for case in _item_cases(item, settings)]
    if settings.limit is None or len(cases) <= settings.limit:
        return cases
    chosen = _random(settings, manifest.name).sample(range(len(cases)), settings.limit)
    return [cases[index] for index in sorted(chosen)]


def _item_cases(item: Item, settings: CaseSettings) -> Iterator[Case]:
    view, truths = SliceView(read_image(item.image), settings.plane), item.read()
    check_fit(truths, view)
    counts = label_pixels(truths, view)
    random = _random(settings, f"{item.set_name}/{item.name}")
    absent: dict[str, Case] = {}
    for label, pixels in counts.items():
        shown: list[int] = np.flatnonzero(pixels >= settings.min_pixels).tolist()
        for index in _evenly(shown, settings.slices):
            yield Case(item, label, view.plane, index, present=True)
            others = [other for other in counts if not counts[other][index]]
            if others and random.random() < settings.absent:
                case = Case(item, random.choice(others), view.plane, index, present=False)
                absent[case.key] = case
    yield from absent.values()


def check_fit(truths: Truths, view: SliceView) -> None:
    """Refuse label images of another size than the image.

    Raises:
        InvalidManifest: With the name of the file.
    """
    for file, array in truths.arrays.items():
        if array.shape not in (view.volume_shape, view.volume_shape[1:]):
            raise InvalidManifest(
                f"The label image {file.name} is of shape {array.shape}, its image of "
                f"{view.volume_shape} (k, j, i).",
                "Give a label image on the same grid as the image.",
            )


def label_pixels(truths: Truths, view: SliceView) -> dict[str, NDArray[np.int64]]:
    """Label -> number of pixels that show it, for each slice; axis (slice,)."""
    counts = {label: np.zeros(view.count, dtype=np.int64) for label in truths.item.sources}
    for index in range(view.count):
        found = {
            file: Counter(view.from_volume(array, index).ravel().tolist())
            for file, array in truths.arrays.items()
        }
        for label, source in truths.item.sources.items():
            counts[label][index] = sum(_pixels(found[file], source) for file in source.files)
    return counts


def _pixels(found: Counter[int], source: Source) -> int:
    if source.value is not None:
        return found[source.value]
    return sum(count for value, count in found.items() if value > 0)


def _evenly(values: Sequence[int], count: int) -> list[int]:
    """At most `count` of the values, from the middles of as many equal stretches."""
    if len(values) <= count:
        return list(values)
    return [values[(2 * part + 1) * len(values) // (2 * count)] for part in range(count)]


def _random(settings: CaseSettings, name: str) -> Random:
    return Random(f"{settings.seed}/{name}")
