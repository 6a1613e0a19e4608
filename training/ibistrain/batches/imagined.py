"""Imagined masks: as a tool might have left them, made from the truth without a tool.

A tool's own masks (`ibistrain.batches.marks`) are dear on a processor. Imagined ones cost next to
nothing: a part is missing or all but a part, something is spilled, the mask sits on something
else, or it is good. They lack a tool's habits.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ibistrain.batches.gallery import Gallery
from ibistrain.batches.marks import Marked
from ibistrain.batches.pose import smooth_noise
from ibistrain.batches.questions import Questions, draw_questions, one_a_picture
from ibistrain.batches.views import View

GOOD, OTHER = 0.45, 0.1
"""Shares of masks that are right but for their border, and that are of something else."""
ROUGH_KNOTS = 40
"""Of the noise that moves borders, on each side of the picture."""


class ImaginedMarks:
    """Masks made from the truth; see `ibistrain.batches.marks.Marker`.

    Args:
        gallery: The corpus.
    """

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def mark(self, view: View, questions: Questions, own: Tensor) -> Marked:
        """See `Marker.mark`; the policy's own clicks do not matter."""
        del own
        gallery, generator = self._gallery, view.generator
        chosen = one_a_picture(questions, len(view.drawn), generator)
        rows, targets = questions.rows[chosen], questions.targets[chosen]
        drawn, labels = view.drawn[rows], view.labels[rows]
        truths = gallery.masks(drawn, labels, targets[:, None])[:, 0]
        lots = torch.rand(len(rows), 2, generator=generator, device=truths.device)
        faulty = _faulty(truths, (lots[:, 1] * 3).long(), generator)
        good = (lots[:, 0] < GOOD)[:, None, None]
        masks = torch.where(good, roughened(truths, generator), faulty)
        others = draw_questions(gallery, drawn, gallery.areas(drawn, labels), 1, 0, 0, generator)
        where = others.rows
        found = gallery.masks(drawn[where], labels[where], others.targets[:, None])[:, 0]
        given = masks.clone()
        given[where] = torch.where((lots[where, 0] > 1 - OTHER)[:, None, None], found, masks[where])
        keep = given.flatten(1).any(1)
        settled = torch.zeros_like(rows[keep], dtype=torch.bool)
        return Marked(rows[keep], targets[keep], given[keep], settled)


def roughened(masks: Tensor, generator: torch.Generator) -> Tensor:
    """Masks with their borders moved by a pixel or two, here out and there in."""
    size = (masks.shape[1], masks.shape[2])
    noise = smooth_noise(len(masks), 1, size, ROUGH_KNOTS, 1.0, generator)[:, 0]
    inside = functional.avg_pool2d(masks[:, None].float(), 5, 1, 2)[:, 0]
    # Bounded, so that only the border moves and no specks appear far from it.
    return inside > 0.5 + 0.2 * noise.clamp(-2, 2)


def _faulty(truths: Tensor, kinds: Tensor, generator: torch.Generator) -> Tensor:
    """A side of the target (0), a piece of it (1), or it and something beside it (2)."""
    lots = torch.rand(len(truths), 4, generator=generator, device=truths.device)
    angle = 2 * math.pi * lots[:, 0]
    area = truths.sum((1, 2))
    radius = (area / math.pi).sqrt()
    rows = torch.arange(truths.shape[1], device=truths.device).float()
    columns = torch.arange(truths.shape[2], device=truths.device).float()
    along = (
        angle.sin()[:, None, None] * rows[:, None] + angle.cos()[:, None, None] * columns[None, :]
    )
    inside = truths.float()
    count = area.clamp(min=1)
    mean = (along * inside).sum((1, 2)) / count
    spread = ((along**2 * inside).sum((1, 2)) / count - mean**2).clamp(min=0).sqrt()
    side = truths & (along < (mean + spread * (1.6 * lots[:, 1] - 0.8))[:, None, None])
    chance = torch.rand(truths.shape, generator=generator, device=truths.device) * inside
    point = chance.flatten(1).argmax(1)
    row, column = point // truths.shape[2], point % truths.shape[2]
    piece = truths & _disc(rows, columns, row, column, radius * (0.1 + 0.4 * lots[:, 2]))
    far = radius * (0.6 + 0.6 * lots[:, 3])
    beside = _disc(rows, columns, row + far * angle.sin(), column + far * angle.cos(), far)
    spilled = torch.where((area > 0)[:, None, None], truths | beside, False)
    kind = kinds[:, None, None]
    return torch.where(kind == 0, side, torch.where(kind == 1, piece, spilled))


def _disc(rows: Tensor, columns: Tensor, row: Tensor, column: Tensor, radius: Tensor) -> Tensor:
    """Discs, bool, axes (mask, row, column); none is smaller than two pixels across."""
    down = (rows - row[:, None]) ** 2
    across = (columns - column[:, None]) ** 2
    return down[:, :, None] + across[:, None, :] < (radius.clamp(min=2) ** 2)[:, None, None]
