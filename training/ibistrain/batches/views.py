"""Batches of posed pictures, as the policy's processor would hand them to the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor

from ibistrain.batches.contrast import Contrasts
from ibistrain.batches.gallery import Gallery
from ibistrain.batches.pose import Poses, posed, posed_layers

ASPECTS = tuple(math.exp(step / 5) for step in range(-9, 10))
"""Width over height of the pictures that a batch may have: from 1 : 6 to 6 : 1, as slices of a
spinal cord are. In between, pictures are stretched by a tenth at most."""

LARGEST = 0.5
"""Share of batches as large as a picture may be: that is how most pictures are seen in use."""


@dataclass(frozen=True, eq=False)
class View:
    """Pictures of a gallery in random form, all of one size.

    Attributes:
        drawn: Their numbers in the gallery, axis (picture).
        places: Where each pixel comes from; see `ibistrain.batches.pose.Poses.map`.
        pictures: Axes (picture, channel, row, column), float in [0, 255].
        labels: Label ids, axes (picture, row, column), uint8.
        grid: Rows and columns of the vision tokens.
        generator: For whatever else is drawn for this batch.
        words: Likewise, for words.
    """

    drawn: Tensor
    places: Tensor
    pictures: Tensor
    labels: Tensor
    grid: tuple[int, int]
    generator: torch.Generator
    words: Random


class Views:
    """Draws views by their number: the same number gives the same view.

    Pictures of like shape are drawn together, since a batch has one size.

    Args:
        gallery: The corpus.
        processor: The checkpoint's image processor; says how large a token is.
        batch: Pictures a view.
        poses: How far pictures are moved.
        contrasts: How far they are recoloured.
        seed: Decides, with a view's number, all about it.
    """

    def __init__(
        self,
        gallery: Gallery,
        processor: Any,
        batch: int,
        poses: Poses,
        contrasts: Contrasts,
        seed: int,
    ) -> None:
        self.gallery = gallery
        self._token = processor.patch_size * processor.merge_size
        sizes = processor.size  # in pixels: the least and the most that a picture may have
        self._tokens = [sizes[name] / self._token**2 for name in ("shortest_edge", "longest_edge")]
        self._batch = batch
        self._poses, self._contrasts = poses, contrasts
        self._seed = seed
        self._shelves = _by_aspect(gallery)
        self._chances = [float(gallery.chances[among].sum()) for _, among in self._shelves]

    def draw(self, number: int) -> View:
        """The view of a number; of any size that the processor may give to pictures."""
        gallery = self.gallery
        words = Random(f"{self._seed}/{number}")
        generator = torch.Generator(gallery.device).manual_seed(words.getrandbits(48))
        aspect, among = words.choices(self._shelves, self._chances)[0]
        least, most = self._tokens
        grid = grid_of(aspect, most if words.random() < LARGEST else words.uniform(least, most))
        size = (grid[0] * self._token, grid[1] * self._token)
        drawn = gallery.draw(self._batch, generator, among)
        places = self._poses.map(gallery, drawn, size, generator)
        pictures = posed(gallery.pictures[drawn], places)
        labels = posed_layers(gallery.labels[drawn], places)
        pictures = self._contrasts.change(pictures, labels, generator)
        return View(drawn, places, pictures, labels, grid, generator, words)


def grid_of(aspect: float, tokens: float) -> tuple[int, int]:
    """Rows and columns of at most so many tokens, for pictures of an aspect (width / height).

    As the processor cuts pictures that are too large: both sides are rounded down, to one at least.
    """
    sides = math.sqrt(tokens / aspect), math.sqrt(tokens * aspect)
    rows, columns = (max(1, int(side + 1e-6)) for side in sides)
    return rows, columns


def _by_aspect(gallery: Gallery) -> Sequence[tuple[float, Tensor]]:
    """Numbers of the pictures that are nearest to each aspect and may be drawn."""
    logs = torch.tensor([math.log(aspect) for aspect in ASPECTS], device=gallery.device)
    sizes = gallery.sizes.float()
    own = (sizes[:, 1] / sizes[:, 0]).log()
    nearest = (own[:, None] - logs).abs().argmin(1)
    shelves = []
    for place, aspect in enumerate(ASPECTS):
        among = ((nearest == place) & (gallery.chances > 0)).nonzero().flatten()
        if len(among):
            shelves.append((aspect, among))
    return shelves
