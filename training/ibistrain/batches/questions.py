"""Which targets to ask for in posed pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ibistrain.batches.gallery import Gallery
from ibistrain.labelled_picture import MIN_SHARE


@dataclass(frozen=True, eq=False)
class Questions:
    """Questions about the pictures of a batch, ordered by picture.

    Attributes:
        rows: Picture of each question, axis (question).
        targets: Number of the target that is asked for, axis (question).
    """

    rows: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.rows)


def draw_questions(
    gallery: Gallery,
    drawn: Tensor,
    areas: Tensor,
    most: int,
    absent: float,
    strange: float,
    generator: torch.Generator,
) -> Questions:
    """Some targets that are there, and now and then one that is not, or never is.

    Args:
        gallery: The corpus.
        drawn: Numbers of the pictures.
        areas: Share of its posed picture that each target covers, axes (drawn, target).
        most: Most questions about what is there, a picture.
        absent: Chance that a picture is asked for something that its labels might show and that
            is not there.
        strange: Chance that it is asked for something that pictures of its set never show.
        generator: Of the gallery's device.
    """
    known = gallery.known[gallery.kinds[drawn]]
    lots = torch.rand(areas.shape, generator=generator, device=areas.device) + 1e-3
    there = _first(torch.where(known & (areas >= MIN_SHARE), lots, 0.0), most)
    missing = _first(torch.where(known & (areas == 0), lots, 0.0), 1)
    never = _first(torch.where(gallery.never[gallery.kinds[drawn]], lots, 0.0), 1)
    even = torch.rand(2, len(drawn), 1, generator=generator, device=areas.device)
    not_there = (missing & (even[0] < absent)) | (never & (even[1] < strange))
    rows, targets = (there | not_there).nonzero().unbind(1)
    return Questions(rows, targets)


def one_a_picture(questions: Questions, count: int, generator: torch.Generator) -> Tensor:
    """Numbers of questions, one drawn for each picture that has any; axis (chosen).

    Args:
        questions: Of a batch.
        count: Pictures in the batch.
        generator: Of the same device.
    """
    device = questions.rows.device
    lots = torch.rand(len(questions), generator=generator, device=device)
    best = torch.full((count,), -1.0, device=device)
    best = best.scatter_reduce(0, questions.rows, lots, "amax")
    return (lots == best[questions.rows]).nonzero().flatten()


def _first(lots: Tensor, most: int) -> Tensor:
    """Whether a lot is among the highest of its row; lots of 0 are not in the draw."""
    if most == 0:
        return torch.zeros_like(lots, dtype=torch.bool)
    bound = lots.topk(min(most, lots.shape[1]), 1).values[:, -1:]
    return (lots >= bound) & (lots > 0)
