"""Interactive sequences: click after click, each where the last masks were wrong.

Masks are fed back as the tool does it: what a click may not change stays as it was. So the model
meets in training the masks it will make. Every click carries a loss; gradients do not run through
the fed-back masks, so that the graph of a click can be let go before the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ibistrain.clicks.click_loss import click_loss, dice
from ibistrain.clicks.click_model import ClickModel
from ibistrain.clicks.clicking import draw_clicks, draw_shares, first_pixels, mistaken
from ibistrain.clicks.prompts import as_logits, merged, with_clicks, with_discs
from ibistrain.clicks.sources import Source
from ibistrain.clicks.starts import draw_starts
from ibistrain.clicks.targets import draw_targets


@dataclass(frozen=True, eq=False)
class Sequences:
    """Targets in pictures, to be clicked at side by side.

    Attributes:
        images: As the encoder sees them, axes (picture, channel, row, column).
        targets: Axes (target, row, column), bool; those of a picture follow each other.
        starts: Masks before the first click, of the same axes; mostly empty.
        inside: Where the picture is, of the same axes.
        valid: Which targets count, axis (target), bool.
        embeddings: Of the pictures, where the encoder has looked already.
    """

    images: Tensor
    targets: Tensor
    starts: Tensor
    inside: Tensor
    valid: Tensor
    embeddings: Tensor | None = None

    @property
    def each(self) -> int:
        """Targets of a picture."""
        return len(self.targets) // len(self.images)


@dataclass(frozen=True, eq=False)
class Played:
    """What one click of all sequences gave.

    Attributes:
        loss: Mean over the targets that count.
        dice: Mean Dice of the targets that count, without gradient.
        dice_fresh: The same of those that began with nothing; not a number if none did.
    """

    loss: Tensor
    dice: Tensor
    dice_fresh: Tensor


def draw_sequences(
    source: Source, pictures: int, each: int, generator: torch.Generator
) -> Sequences:
    """Draw pictures and targets in them.

    Args:
        source: Of the pictures.
        pictures: How many.
        each: Targets of a picture.
        generator: Of their device.
    """
    posed = source.draw(pictures, generator)
    squares = posed.squares
    targets = draw_targets(source.gallery, posed.numbers, squares, each, generator)
    inside = squares.inside.repeat_interleave(each, 0)
    starts = draw_starts(targets.masks, each, inside, generator)
    return Sequences(squares.images, targets.masks, starts, inside, targets.valid, posed.embeddings)


def play(
    model: ClickModel,
    embeddings: Tensor,
    sequences: Sequences,
    clicks: int,
    generator: torch.Generator,
) -> Iterator[Played]:
    """Click some times at each target.

    Args:
        model: Is asked for masks.
        embeddings: Of the pictures.
        sequences: The targets.
        clicks: How many.
        generator: Of the same device.
    """
    targets, inside = sequences.targets, sequences.inside
    fresh = sequences.valid & ~sequences.starts.flatten(1).any(1)
    prior, newest = as_logits(sequences.starts), first_pixels(targets)
    discs = torch.zeros_like(targets, dtype=torch.int8)
    places, signs = [], []
    for number in range(clicks):
        shares = draw_shares(len(targets), number == 0, generator)
        drawn, wrong = draw_clicks(targets, prior > 0, shares, generator)
        newest = mistaken(drawn, generator).where(wrong, newest)
        discs = with_discs(discs, newest)
        places.append(newest.places)
        signs.append(newest.positive)
        logits, quality = model.decode(
            embeddings.repeat_interleave(sequences.each, 0),
            with_clicks(prior, discs),
            torch.stack(places, 1),
            torch.stack(signs, 1),
        )
        losses = click_loss(logits, quality, targets, inside)
        after = torch.where(inside, logits.detach(), as_logits(torch.zeros_like(inside)))
        right = dice(after > 0, targets)
        yield Played(
            _mean(losses, sequences.valid),
            _mean(right, sequences.valid),
            _mean(right, fresh) / fresh.any(),
        )
        if number + 1 < clicks:
            prior = merged(prior, after, newest)


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """Mean of the values that count; 0 where none does."""
    return (values * counted).sum() / counted.sum().clamp(min=1)
