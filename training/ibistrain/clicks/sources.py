"""Where the tool's trainer gets posed pictures from: drawn anew, or drawn and embedded once.

Nearly all of the work is the image encoder's. A GPU lets it learn along, on pictures that never
come twice; a processor can only afford to embed some hundred of them once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Protocol

import torch
from rich.progress import track
from torch import Tensor

from ibisagent.tools.litemedsam_net import LiteMedSAMNet
from ibistrain.batches.gallery import Gallery
from ibistrain.clicks.kept_file import kept_settings, read_kept, write_kept
from ibistrain.clicks.regions import embedded, regions_in
from ibistrain.clicks.squares import Squares, draw_squares

AT_ONCE = 8
"""Pictures that are posed, embedded and written together."""
_SQUARES = [field.name for field in fields(Squares)]


@dataclass(frozen=True, eq=False)
class Posed:
    """Pictures in a random pose.

    Attributes:
        numbers: Of the gallery's pictures, axis (picture).
        squares: As the tool sees them.
        embeddings: Axes (picture, channel, row, column), where the encoder has looked already.
    """

    numbers: Tensor
    squares: Squares
    embeddings: Tensor | None = None


class Source(Protocol):
    """Where posed pictures come from."""

    @property
    def gallery(self) -> Gallery:
        """Whose pictures they are."""
        ...

    def draw(self, count: int, generator: torch.Generator) -> Posed:
        """Some of them; the generator is of the gallery's device."""
        ...


@dataclass(frozen=True, eq=False)
class Anew:
    """Pictures in poses that never come twice.

    Attributes:
        gallery: The pictures.
        regions: Their unlabelled regions, as from `find_regions`.
    """

    gallery: Gallery
    regions: Tensor

    def draw(self, count: int, generator: torch.Generator) -> Posed:
        """See `Source.draw`."""
        numbers = self.gallery.draw(count, generator)
        return Posed(numbers, draw_squares(self.gallery, self.regions, numbers, generator))


@dataclass(frozen=True, eq=False)
class Kept:
    """Pictures that were posed and embedded before.

    Attributes:
        gallery: Whose pictures they are.
        numbers: Of the gallery's pictures, axis (picture).
        squares: As the tool sees them.
        embeddings: Float16, axes (picture, channel, row, column).
    """

    gallery: Gallery
    numbers: Tensor
    squares: Squares
    embeddings: Tensor

    def draw(self, count: int, generator: torch.Generator) -> Posed:
        """See `Source.draw`."""
        rows = torch.randint(
            len(self.numbers), (count,), generator=generator, device=self.numbers.device
        )
        chosen = {name: part[rows] for name, part in vars(self.squares).items()}
        return Posed(self.numbers[rows], Squares(**chosen), self.embeddings[rows].float())


def keep(
    folder: Path, net: LiteMedSAMNet, gallery: Gallery, count: int, boxes: int, seed: int
) -> Kept:
    """Pose pictures, embed them, and look for regions that nobody labelled.

    Args:
        folder: Takes the pictures as they are made; what it holds already is not made again.
        net: Untrained, on the gallery's device.
        gallery: The pictures.
        count: How many to pose.
        boxes: Tried on each of them, see `ibistrain.clicks.regions`.
        seed: Of the poses.

    Raises:
        InvalidRequest: A file in the folder is damaged, of another corpus, or made with other
            boxes or another seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = kept_settings(boxes, seed)
    parts = []
    for number in track(range(-(-count // AT_ONCE)), description="Embedding", transient=True):
        path = folder / f"{number:05d}.safetensors"
        if not path.is_file():
            generator = torch.Generator(gallery.device).manual_seed(seed * 1_000_003 + number)
            write_kept(path, _embedded_part(net, gallery, boxes, generator), gallery, settings)
        parts.append(read_kept(path, [*_SQUARES, "numbers", "embeddings"], gallery, settings))
    joined = {name: torch.cat([part[name] for part in parts])[:count] for name in parts[0]}
    numbers, embeddings = joined.pop("numbers"), joined.pop("embeddings")
    return Kept(gallery, numbers, Squares(**joined), embeddings)


def _embedded_part(
    net: LiteMedSAMNet, gallery: Gallery, boxes: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """`AT_ONCE` pictures: their squares, numbers and embeddings."""
    posed = Anew(gallery, torch.zeros_like(gallery.labels)).draw(AT_ONCE, generator)
    seen = embedded(net, posed.squares.images)
    regions = regions_in(net, seen, posed.squares.inside, boxes, generator)
    squares = vars(replace(posed.squares, regions=regions))
    return {**squares, "numbers": posed.numbers, "embeddings": seen.half()}
