"""Views of a gallery whose pictures are known."""

from __future__ import annotations

from random import Random

import torch
from torch import Tensor

from ibistrain.batches.gallery import Gallery
from ibistrain.batches.pose import Poses, posed, posed_layers
from ibistrain.batches.questions import Questions
from ibistrain.batches.views import View

SIZE = (96, 112)


def view_of(gallery: Gallery, drawn: list[int], poses: Poses | None = None, seed: int = 0) -> View:
    """These pictures, as they are if no pose is asked for."""
    numbers = torch.tensor(drawn)
    generator = torch.Generator().manual_seed(seed)
    places = (poses or Poses(strength=0)).map(gallery, numbers, SIZE, generator)
    return View(
        drawn=numbers,
        places=places,
        pictures=posed(gallery.pictures[numbers], places),
        labels=posed_layers(gallery.labels[numbers], places),
        grid=(SIZE[0] // 16, SIZE[1] // 16),
        generator=generator,
        words=Random(seed),
    )


def questions(rows: list[int], targets: list[int]) -> Questions:
    """Questions about pictures of a view, in order."""
    return Questions(*(torch.tensor(side, dtype=torch.int64) for side in (rows, targets)))


def truths_of(gallery: Gallery, view: View, rows: Tensor, targets: Tensor) -> Tensor:
    """What is right, bool, axes (question, row, column)."""
    return gallery.masks(view.drawn[rows], view.labels[rows], targets[:, None])[:, 0]
