"""What people might ask for in labelled pictures, for a batch of them at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ibistrain.batches.depth import connected
from ibistrain.batches.gallery import IDS, Gallery
from ibistrain.clicks.regions import MIN_PIXELS as MIN_REGION
from ibistrain.clicks.regions import MOST, MOST_SHARE
from ibistrain.clicks.squares import Squares

MIN_PIXELS = 12
UNLABELLED = 0.15
"""Share of targets that are regions without a label."""
JOINED, SINGLE, PARTS = 0.1, 0.05, 0.25
"""Shares of labelled targets that are two joined ones, any single label (of an atlas, say, a part
that nobody asks for by name), or one connected part of a target."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets in a batch of pictures; those of a picture follow each other.

    Attributes:
        masks: Axes (target, row, column), bool.
        valid: Whether there is anything to ask for, axis (target), bool.
    """

    masks: Tensor
    valid: Tensor


def draw_targets(
    gallery: Gallery, drawn: Tensor, squares: Squares, each: int, generator: torch.Generator
) -> Targets:
    """Draw targets: as far as there are enough, different ones of each picture.

    Args:
        gallery: The pictures.
        drawn: Their numbers.
        squares: As the tool sees them.
        each: Targets of a picture.
        generator: Of the same device.
    """
    lots = torch.rand(3, len(drawn), each, generator=generator, device=gallery.device)
    labelled = _labelled(gallery, drawn, squares.labels, lots[0], generator).flatten(0, 1)
    known = labelled.sum((1, 2)) >= MIN_PIXELS
    parts = (lots[0] >= 1 - PARTS).flatten() & known
    labelled = _one_part(labelled, parts, generator)
    regions, found = _region(squares, each, generator)
    unlabelled = found & ((lots[1].flatten() < UNLABELLED) | ~known)
    masks = torch.where(unlabelled[:, None, None], regions, labelled)
    return Targets(masks, unlabelled | known)


def _labelled(
    gallery: Gallery, drawn: Tensor, labels: Tensor, lots: Tensor, generator: torch.Generator
) -> Tensor:
    """Targets by name, two joined, or single labels; axes (picture, target, row, column)."""
    counts = _pixels(labels)
    table = gallery.table[gallery.kinds[drawn]]
    areas = torch.einsum("nti,ni->nt", table.float(), counts)
    present = gallery.known[gallery.kinds[drawn]] & (areas >= MIN_PIXELS)
    first, second = _choices(present, lots.shape[1], generator)
    numbers = torch.arange(len(drawn), device=labels.device)[:, None]
    lookup = table[numbers, first]
    joined = table[numbers, second] & (lots < JOINED)[..., None]
    counts[:, 0] = 0  # the background is no target
    large = counts >= MIN_PIXELS
    single, _ = _choices(large, lots.shape[1], generator)
    one_id = torch.arange(IDS, device=labels.device) == single[..., None]
    by_id = (lots >= JOINED) & (lots < JOINED + SINGLE) & large.any(1, keepdim=True)
    lookup = torch.where(by_id[..., None], one_id, lookup | joined)
    flat = labels.flatten(1).long()[:, None].expand(-1, lots.shape[1], -1)
    masks: Tensor = lookup.gather(2, flat)
    return masks.view(*lots.shape, *labels.shape[1:])


def _pixels(labels: Tensor) -> Tensor:
    """Pixels of each label id, float, axes (picture, id)."""
    flat = labels.flatten(1).long()
    counts = torch.zeros(len(labels), IDS, device=labels.device)
    return counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=counts.dtype))


def _choices(allowed: Tensor, each: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Choices among what each picture allows, and another one beside each.

    Args:
        allowed: Axes (picture, candidate), bool.
        each: Choices for a picture; they are different as long as there are enough.
        generator: Of the same device.

    Returns:
        Numbers of candidates, axes (picture, choice), twice; any where nothing is allowed.
    """
    lots = torch.rand(allowed.shape, generator=generator, device=allowed.device)
    order = (lots + allowed).argsort(1, descending=True)
    count = allowed.sum(1, keepdim=True).clamp(min=1)
    places = torch.arange(each, device=allowed.device)
    return order.gather(1, places % count), order.gather(1, (places + 1) % count)


def _one_part(masks: Tensor, wanted: Tensor, generator: torch.Generator) -> Tensor:
    """Masks of which some are cut to the part that hangs together with a pixel of theirs.

    Parts that are too small are left out.
    """
    lots = torch.rand(masks.shape, generator=generator, device=masks.device)
    chosen = (lots * masks).flatten(1).argmax(1)
    points = torch.stack([chosen // masks.shape[2], chosen % masks.shape[2]], 1)
    parts = connected(masks & wanted[:, None, None], points)
    enough = parts.sum((1, 2)) >= MIN_PIXELS
    return torch.where(enough[:, None, None], parts, masks)


def _region(squares: Squares, each: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Unlabelled regions, axes (target, row, column), and whether there are any."""
    bits = torch.arange(MOST, device=squares.regions.device)[:, None, None]
    planes = (squares.regions[:, None] >> bits & 1).bool()
    sizes, most = planes.sum((2, 3)), MOST_SHARE * squares.inside.sum((1, 2))
    allowed = (sizes >= MIN_REGION) & (sizes <= most[:, None])
    chosen, _ = _choices(allowed, each, generator)
    numbers = torch.arange(len(planes), device=planes.device)[:, None]
    found = allowed.any(1, keepdim=True).expand(-1, each)
    return planes[numbers, chosen].flatten(0, 1), found.flatten()
