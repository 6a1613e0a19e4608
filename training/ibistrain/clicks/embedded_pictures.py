"""Pictures in random poses and contrasts, embedded once and kept on disk.

Embedding takes most of the time of a click, and the encoder is not trained: so a few thousand
pictures are drawn, embedded and written, and training reads them as often as it likes. The
number of a picture decides all about it; a folder that was broken off is continued.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from ibisagent.tools.base import RGB
from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet
from ibisagent.tools.square_frame import SquareFrame
from ibistrain.augment import recolour, warp
from ibistrain.clicks.repaint import repaint
from ibistrain.corpus import LabelledPicture, by_set_and_subject

logger = logging.getLogger(__name__)

STRENGTH = 1.3
"""Of the augmentation; a tool that follows clicks need not know the usual pose or contrast."""
REPAINTED = 0.1
"""Share of pictures whose labels are painted in contrasts of our own."""
INVERTED = 0.1
BOXES = 4
"""Boxes tried for each picture, to ask the untrained tool for regions that nobody labelled."""
MIN_QUALITY = 0.75
"""Predicted IoU from which such a region is kept."""
MIN_PIXELS = 40


@dataclass(frozen=True, eq=False)
class EmbeddedPicture:
    """A picture as the tool's mask decoder meets it.

    Attributes:
        embedding: Axes (channel, row, column), float16; rows and columns are `SIDE` / 4.
        labels: Label ids in the tool's square, axes (row, column), uint8, `SIDE` x `SIDE`.
        regions: Regions found by boxes, axes (region, row, column), bool.
        inner: (height, width) of the picture in the square; the rest is padding.
        targets: Ids of each target that people may ask for: of an atlas, say, the organ and not
            its parts.
    """

    embedding: NDArray[np.float16]
    labels: NDArray[np.uint8]
    regions: NDArray[np.bool_]
    inner: tuple[int, int]
    targets: tuple[tuple[int, ...], ...]

    def save(self, path: Path) -> None:
        """Write, whole or not at all."""
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(
                file,
                embedding=self.embedding,
                labels=self.labels,
                regions=np.packbits(self.regions),
                inner=np.array(self.inner),
                targets=np.array(json.dumps(self.targets)),
            )
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> EmbeddedPicture:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            bits = np.unpackbits(arrays["regions"]).reshape(-1, SIDE, SIDE)
            height, width = (int(side) for side in arrays["inner"])
            targets = tuple(tuple(ids) for ids in json.loads(str(arrays["targets"])))
            embedding, labels = arrays["embedding"], arrays["labels"]
            return cls(embedding, labels, bits.astype(bool), (height, width), targets)


def embed_pictures(
    pictures: Sequence[LabelledPicture],
    weights: dict[str, float],
    net: LiteMedSAMNet,
    folder: Path,
    count: int,
    seed: int = 0,
) -> None:
    """Draw, change, embed and write pictures, as ``00000.npz`` and so on.

    Args:
        pictures: The corpus.
        weights: Weight of each set.
        net: The network before training.
        folder: For the files; those that are there are kept.
        count: Pictures that the folder shall hold.
        seed: Decides, with a picture's number, all about it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = by_set_and_subject(pictures)
    names = list(groups)
    for number in track(range(count), description="Embedding", transient=True):
        path = folder / f"{number:05d}.npz"
        if path.is_file():
            continue
        rng = Random(f"{seed}/{number}")
        name = rng.choices(names, [weights[name] for name in names])[0]
        picture = rng.choice(rng.choice(list(groups[name].values())))
        rgb, labels = changed(picture, rng)
        targets = tuple(picture.targets.values())
        embedded_picture(rgb, labels, targets, net, rng).save(path)


def changed(picture: LabelledPicture, rng: Random) -> tuple[RGB, NDArray[np.uint8]]:
    """A picture and its labels in another pose and contrast; any side may be up."""
    rgb = picture.rgb
    if rng.random() < REPAINTED:
        rgb = repaint(rgb, picture.labels, rng)
    rgb, (labels,) = warp(rgb, [picture.labels], rng, flip=True, strength=STRENGTH)
    turns = rng.choices((0, 1, 2, 3), (7, 1, 1, 1))[0]
    rgb, labels = (np.ascontiguousarray(np.rot90(image, turns)) for image in (rgb, labels))
    if rng.random() < INVERTED:
        rgb = np.bitwise_not(rgb)
    return recolour(rgb, rng, STRENGTH), labels


def embedded_picture(
    rgb: RGB,
    labels: NDArray[np.uint8],
    targets: tuple[tuple[int, ...], ...],
    net: LiteMedSAMNet,
    rng: Random,
) -> EmbeddedPicture:
    """Embed one picture and look for regions in it.

    Args:
        rgb: Axes (row, column, channel).
        labels: Label ids, axes (row, column).
        targets: Ids of each target.
        net: The network before training.
        rng: Draws the boxes.
    """
    height, width = SquareFrame.of(rgb, SIDE).inner
    square = np.zeros((SIDE, SIDE), np.uint8)
    square[:height, :width] = np.asarray(
        Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST)
    )
    with torch.autocast(net.device.type, torch.bfloat16):
        embedding = net.embed(rgb).float()
        boxes = [_box(height, width, rng) for _ in range(BOXES)]
        logits, quality = net.decode_boxes(embedding, boxes)
    found = [mask[:height, :width] > 0 for mask in logits.numpy()]
    regions = np.zeros((0, SIDE, SIDE), bool)
    for mask, score in zip(found, quality.tolist(), strict=True):
        if score >= MIN_QUALITY and MIN_PIXELS <= mask.sum() <= 0.7 * mask.size:
            region = np.zeros((1, SIDE, SIDE), bool)
            region[0, :height, :width] = mask
            regions = np.concatenate([regions, region])
    as_half = embedding[0].cpu().numpy().astype(np.float16)
    return EmbeddedPicture(as_half, square, regions, (height, width), targets)


def _box(height: int, width: int, rng: Random) -> tuple[int, int, int, int]:
    """A box of any place and of a size drawn by its logarithm, inside the picture."""
    half_width, half_height = (round(6 * 15 ** rng.random()) for _ in range(2))
    row, column = rng.randrange(height), rng.randrange(width)
    left, top = max(0, column - half_width), max(0, row - half_height)
    return left, top, min(width - 1, column + half_width), min(height - 1, row + half_height)
