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
from ibistrain.clicks.kept_file import read_kept, write_kept
from ibistrain.clicks.regions import embedded, regions_in
from ibistrain.clicks.squares import Squares, draw_squares

AT_ONCE = 8


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

    def save(self, path: Path) -> None:
        """Write all but the gallery, as a whole or not at all."""
        parts = {**vars(self.squares), "numbers": self.numbers, "embeddings": self.embeddings}
        write_kept(path, parts, self.gallery)

    @classmethod
    def read(cls, path: Path, gallery: Gallery) -> Kept:
        """What `save` wrote.

        Raises:
            InvalidRequest: The file is damaged, or of another corpus.
        """
        names = [field.name for field in fields(Squares)]
        parts = read_kept(path, [*names, "numbers", "embeddings"], gallery)
        squares = Squares(**{name: parts[name] for name in names})
        return cls(gallery, parts["numbers"], squares, parts["embeddings"])


def keep(
    net: LiteMedSAMNet, gallery: Gallery, count: int, boxes: int, generator: torch.Generator
) -> Kept:
    """Pose pictures, embed them, and look for regions that nobody labelled.

    Args:
        net: Untrained, on the gallery's device.
        gallery: The pictures.
        count: How many to pose.
        boxes: Tried on each of them, see `ibistrain.clicks.regions`.
        generator: Of the same device.
    """
    anew = Anew(gallery, torch.zeros_like(gallery.labels))
    numbers, squares, embeddings = [], [], []
    for first in track(range(0, count, AT_ONCE), description="Embedding", transient=True):
        posed = anew.draw(min(AT_ONCE, count - first), generator)
        seen = embedded(net, posed.squares.images)
        regions = regions_in(net, seen, posed.squares.inside, boxes, generator)
        numbers.append(posed.numbers)
        squares.append(vars(replace(posed.squares, regions=regions)))
        embeddings.append(seen.half())
    joined = {name: torch.cat([one[name] for one in squares]) for name in squares[0]}
    return Kept(gallery, torch.cat(numbers), Squares(**joined), torch.cat(embeddings))
