"""Regions that nobody labelled: what the untrained tool finds in random boxes.

People ask for more than data sets label. The regions of a picture are found once, and move with
it ever after.
"""

from __future__ import annotations

import torch
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from ibisagent.tools.half_precision import half_precision
from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet
from ibisagent.tools.one_mask import one_mask
from ibistrain.batches.gallery import Gallery
from ibistrain.clicks.squares import inside_of, plain_squares

MOST = 8
"""Regions of a picture: the bits of a byte."""
MIN_QUALITY = 0.75
"""Predicted IoU from which a region is kept."""
MIN_PIXELS, MOST_SHARE = 40, 0.7
"""Of the square, and of the picture."""
AT_ONCE = 16


@torch.inference_mode()
def find_regions(
    net: LiteMedSAMNet, gallery: Gallery, boxes: int, generator: torch.Generator
) -> Tensor:
    """Look for regions in every picture.

    Args:
        net: Untrained, on the gallery's device.
        gallery: The pictures.
        boxes: Tried on each picture, at most `MOST`; with 0 there are no regions.
        generator: Of the same device.

    Returns:
        One region a bit, axes (picture, row, column), uint8, as `Gallery.labels`.
    """
    found = torch.zeros_like(gallery.labels)
    if not boxes:
        return found
    numbers = torch.arange(len(gallery.labels), device=gallery.device)
    for part in track(numbers.split(AT_ONCE), description="Looking for regions", transient=True):
        images, inner = plain_squares(gallery, part)
        embeddings = embedded(net, images)
        logits, quality = _inside_boxes(net, embeddings, _boxes(inner, boxes, generator))
        kept = _plausible(logits, quality, inside_of(inner))
        found[part] = _bits(_as_stored(logits, gallery, part, inner) & kept)
    return found


@torch.no_grad()
def regions_in(
    net: LiteMedSAMNet, embeddings: Tensor, inside: Tensor, boxes: int, generator: torch.Generator
) -> Tensor:
    """Look for regions in pictures that are in the tool's square already.

    Args:
        net: Untrained.
        embeddings: Of the pictures.
        inside: Where they are in the square, axes (picture, row, column), bool.
        boxes: As for `find_regions`.
        generator: Of the same device.

    Returns:
        One region a bit, uint8, axes as `inside`.
    """
    if not boxes:
        return torch.zeros_like(inside, dtype=torch.uint8)
    inner = torch.stack([inside.any(2).sum(1), inside.any(1).sum(1)], 1)
    logits, quality = _inside_boxes(net, embeddings, _boxes(inner, boxes, generator))
    return _bits((logits > 0) & inside[:, None] & _plausible(logits, quality, inside))


@torch.no_grad()
def embedded(net: LiteMedSAMNet, images: Tensor) -> Tensor:
    """Embeddings of `Squares.images`, float32, axes (picture, channel, row, column)."""
    with half_precision(net.device):
        embeddings: Tensor = net.image_encoder(images)
    return embeddings.float()


def _plausible(logits: Tensor, quality: Tensor, inside: Tensor) -> Tensor:
    """Which masks are kept, axes (picture, box, 1, 1)."""
    sizes = ((logits > 0) & inside[:, None]).sum((2, 3))
    kept = (quality >= MIN_QUALITY) & (sizes >= MIN_PIXELS)
    kept &= sizes <= MOST_SHARE * inside.sum((1, 2))[:, None]
    return kept[:, :, None, None]


def _bits(masks: Tensor) -> Tensor:
    """Masks of a picture, axes (picture, mask, row, column), as the bits of one image."""
    bits = 2 ** torch.arange(masks.shape[1], device=masks.device)
    return (masks * bits[:, None, None]).sum(1).to(torch.uint8)


def _boxes(inner: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Boxes of any place and of sizes drawn by their logarithm, inside the pictures.

    Returns:
        (left, top, right, bottom), axes (picture, box, 4).
    """
    size = (len(inner), count, 2)
    lots = torch.rand(2, *size, generator=generator, device=generator.device)
    end = inner.flip(1)[:, None].float()  # (width, height)
    middle, half = (lots[0] * end).floor(), (6 * 15 ** lots[1]).round()
    return torch.cat([(middle - half).clamp(min=0), torch.minimum(middle + half, end - 1)], -1)


def _inside_boxes(net: LiteMedSAMNet, embeddings: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, axes (picture, box, row, column), and predicted IoU, axes (picture, box)."""
    count = boxes.shape[1]
    sparse, dense = net.prompt_encoder(points=None, boxes=boxes.flatten(0, 1), masks=None)
    each, where = embeddings.repeat_interleave(count, 0), net.prompt_encoder.get_dense_pe()
    with half_precision(net.device):
        logits, quality = one_mask(net.mask_decoder, each, where, sparse, dense)
    return logits.float().view(-1, count, SIDE, SIDE), quality.float().view(-1, count)


def _as_stored(logits: Tensor, gallery: Gallery, part: Tensor, inner: Tensor) -> Tensor:
    """Masks in the squares in which the gallery keeps its pictures."""
    side, sizes = gallery.labels.shape[-1], gallery.sizes[part]
    lines = torch.arange(side, device=gallery.device)
    y, x = (
        2 * (lines + 0.5) * (inner[:, axis] / sizes[:, axis])[:, None] / SIDE - 1 for axis in (0, 1)
    )
    size = (len(part), side, side)
    places = torch.stack([x[:, None, :].expand(size), y[:, :, None].expand(size)], -1)
    rows, columns = (lines < sizes[:, axis, None] for axis in (0, 1))
    moved = functional.grid_sample(logits, places, "bilinear", "border", align_corners=False)
    return (moved > 0) & (rows[:, :, None] & columns[:, None, :])[:, None]
