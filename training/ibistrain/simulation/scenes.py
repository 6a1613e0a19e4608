"""Pictures and truths of labelled sets, opened as inference opens them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ibisagent.errors import InvalidManifest
from ibisagent.evaluation_cases import check_fit
from ibisagent.manifest import Item, Manifest, load_manifest
from ibisagent.slices import Plane, SliceView
from ibisagent.tools.base import Mask
from ibisagent.volume import is_picture, read_image
from ibistrain.catalogue import Catalogue, SetEntry
from ibistrain.corpus import close_gaps

MANIFEST = "manifest.json"
_UNKNOWN_SET = SetEntry()


@dataclass(frozen=True)
class Source:
    """An item of a set, and how its labels make targets.

    Attributes:
        item: The image and its labels.
        image: The image's path relative to the data's root.
        entry: How the set is used.
        never: Targets of the sets that no image of this one shows, sorted.
    """

    item: Item
    image: str
    entry: SetEntry
    never: tuple[str, ...] = ()

    @property
    def targets(self) -> dict[str, tuple[str, ...]]:
        """Target -> the labels whose union it is."""
        return self.entry.targets(self.item.labels)


class Sources:
    """All items below a data root.

    Args:
        root: Folder of labelled sets, or one labelled set.
        names: Folders of sets below it; all that have a manifest if empty.
        catalogue: How sets are used; one that is not in it has every label for a target.

    Raises:
        InvalidManifest: There is no set, or a manifest cannot be read.
    """

    def __init__(self, root: Path, names: tuple[str, ...], catalogue: Catalogue) -> None:
        self._root = root
        self._catalogue = catalogue
        self._by_image: dict[str, Source] = {}
        manifests = [load_manifest(root / name) for name in names or _sets_below(root)]
        targets = frozenset(t for one in manifests for t in self._targets(one))
        for manifest in manifests:
            for source in self._read(manifest, targets):
                self._by_image[source.image] = source
        if not self._by_image:
            raise InvalidManifest(
                f"There is no labelled set in {root}.",
                f"Give a folder that has {MANIFEST}, or has folders that have one.",
            )

    def __iter__(self) -> Iterator[Source]:
        return iter(self._by_image.values())

    def find(self, image: str) -> Source:
        """The item of an image.

        Raises:
            InvalidManifest: The sets no longer name it.
        """
        if image not in self._by_image:
            raise InvalidManifest(
                f"The simulation was planned with {image}, which these sets do not name.",
                "Go on with the same data, or begin in a new folder.",
            )
        return self._by_image[image]

    def _entry(self, manifest: Manifest) -> SetEntry:
        return self._catalogue.sets.get(manifest.name, _UNKNOWN_SET)

    def _targets(self, manifest: Manifest) -> Iterator[str]:
        for item in manifest.items:
            yield from self._entry(manifest).targets(item.labels)

    def _read(self, manifest: Manifest, targets: frozenset[str]) -> Iterator[Source]:
        entry = self._entry(manifest)
        never = self._catalogue.never(manifest.name, targets)
        for item in manifest.items:
            # Not resolved: a link into a set is the set's own image.
            image = Path(os.path.relpath(item.image, self._root)).as_posix()
            own = entry.targets(item.labels)
            yield Source(item, image, entry, tuple(sorted(never.difference(own))))


class OpenItem:
    """An item in memory: its planes, and the truth of each target.

    Args:
        source: The item.
        window: As for inference.

    Raises:
        UnreadableImage: Image or labels cannot be read.
        InvalidManifest: A label image does not fit its image.
    """

    def __init__(self, source: Source, window: str) -> None:
        self.source = source
        self.image = read_image(source.item.image)
        self._window = window
        self._views: dict[Plane, SliceView] = {}
        self._truths = source.item.read()
        self._masks: dict[str, NDArray[np.bool_]] = {}
        check_fit(self._truths, self.view(Plane.AXIAL))

    def planes(self, wanted: Mapping[Plane, int]) -> dict[Plane, int]:
        """Planes of this image -> step between slices."""
        if is_picture(self.image):
            return {Plane.PICTURE: 1}
        return dict(wanted) or {Plane(name): n for name, n in self.source.entry.planes.items()}

    def view(self, plane: Plane) -> SliceView:
        """The image in a plane."""
        if plane not in self._views:
            self._views[plane] = SliceView(self.image, plane, self._window)
        return self._views[plane]

    def mask(self, target: str) -> NDArray[np.bool_]:
        """A target's truth, axes (k, j, i), or (row, column) for a picture.

        What images of the set never show is empty.
        """
        if target not in self._masks:
            if target in self.source.never:
                return np.zeros_like(next(iter(self._truths.arrays.values())), dtype=bool)
            labels = self.source.targets[target]
            mask = np.logical_or.reduce([self._truths[label] for label in labels])
            if self.source.entry.only == ():  # an atlas of which only unions are wanted
                mask = _without_gaps(mask, self.image)
            self._masks[target] = mask
        return self._masks[target]

    def truth(self, target: str, plane: Plane, index: int) -> Mask:
        """A target on a slice, axes (row, column)."""
        return np.asarray(self.view(plane).from_volume(self.mask(target), index), dtype=bool)


def _without_gaps(mask: NDArray[np.bool_], image: sitk.Image) -> NDArray[np.bool_]:
    filled = mask.astype(np.uint8)
    close_gaps(filled, image.GetSpacing())
    return filled > 0


def _sets_below(root: Path) -> list[str]:
    if (root / MANIFEST).is_file():
        return ["."]
    return sorted(path.parent.name for path in root.glob(f"*/{MANIFEST}"))
