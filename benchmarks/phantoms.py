"""Drawn bodies with known organs: a world small enough to train in within an hour on one core.

A subject has its own pose, organs of its own shape, brightness, noise and shading; now and then
an organ is missing. Neighbours may be equally bright, so that what grows in one leaks into the
other. The pictures are written as a labelled set, which all of the product's code reads.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ibisagent.output import make_folder, write_whole

SIDE = 96
"""Pixels of a picture's side."""
MISSING = 0.12
"""Chance that an organ is not there."""


@dataclass(frozen=True)
class Organ:
    """Where an organ usually lies and how it looks.

    Attributes:
        name: What it is asked for by.
        x: Centre, in half widths of the body, to the right.
        y: Likewise downwards.
        width: Half width, in half widths of the body.
        height: Half height.
        grey: Usual brightness, 0 to 1.
    """

    name: str
    x: float
    y: float
    width: float
    height: float
    grey: float


ORGANS = (
    Organ("liver", -0.42, -0.20, 0.40, 0.34, 0.58),
    Organ("stomach", 0.16, -0.42, 0.26, 0.19, 0.48),
    Organ("spleen", 0.54, -0.14, 0.18, 0.27, 0.66),
    Organ("kidney left", 0.42, 0.38, 0.17, 0.21, 0.76),
    Organ("kidney right", -0.42, 0.42, 0.17, 0.21, 0.76),
    Organ("spine", 0.0, 0.56, 0.17, 0.17, 0.92),
)
BODY_GREY = 0.22


@dataclass(frozen=True)
class Scanner:
    """How a set's pictures are made.

    Attributes:
        name: Name of the set.
        inverted: Share of the subjects whose pictures have dark and bright exchanged.
        noise: Most noise, as a share of the range.
    """

    name: str
    inverted: float = 0.0
    noise: float = 0.05


PLAIN = Scanner("phantoms")
MIXED = Scanner("clinic", inverted=0.35)


def draw_subject(
    rng: np.random.Generator, scanner: Scanner = PLAIN
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture and its labels (number in `ORGANS` from 1, 0 elsewhere), axes (row, column)."""
    x, y = _body_frame(rng)
    outside = x**2 + y**2 > 1
    grey = np.where(outside, 0.04, BODY_GREY + rng.normal(0, 0.03))
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for number, organ in enumerate(ORGANS, start=1):
        missing, inside = rng.random() < MISSING, _inside(organ, x, y, rng) & ~outside
        brightness = organ.grey + rng.normal(0, 0.05)
        if not missing:
            labels[inside] = number
            grey[inside] = brightness
    return _as_picture(grey, rng, scanner), labels


def write_set(folder: Path, scanner: Scanner, subjects: int) -> None:
    """Write a set of one picture a subject; the same call writes the same pictures.

    Raises:
        OutputNotWritable: The folder cannot be made or written to.
    """
    make_folder(folder / scanner.name)
    items = []
    for number in range(subjects):
        rng = np.random.default_rng([number, *scanner.name.encode()])
        picture, labels = draw_subject(rng, scanner)
        subject = f"s{number:04d}"
        Image.fromarray(picture).save(folder / scanner.name / f"{subject}.png")
        Image.fromarray(labels).save(folder / scanner.name / f"{subject}_labels.png")
        items.append(
            {"image": f"{subject}.png", "label": f"{subject}_labels.png", "subject": subject}
        )
    names = {str(number): organ.name for number, organ in enumerate(ORGANS, start=1)}
    manifest = {"name": scanner.name, "labels": names, "items": items}
    write_whole(folder / scanner.name / "manifest.json", json.dumps(manifest).encode("utf-8"))


def _body_frame(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each pixel's place in the body: the outline is the unit circle."""
    rows, columns = np.indices((SIDE, SIDE)) + 0.5
    dx = columns - SIDE / 2 - rng.uniform(-5, 5)
    dy = rows - SIDE / 2 - rng.uniform(-5, 5)
    angle, size = math.radians(rng.normal(0, 8)), SIDE * rng.uniform(0.38, 0.47)
    stretch = rng.uniform(0.9, 1.05)
    x = math.cos(angle) * dx + math.sin(angle) * dy
    y = math.cos(angle) * dy - math.sin(angle) * dx
    return x / size, y / (size * stretch)


def _inside(
    organ: Organ, x: NDArray[np.float64], y: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """The organ of one subject: an ellipse that is moved, turned and dented."""
    dx = x - organ.x - rng.normal(0, 0.06)
    dy = y - organ.y - rng.normal(0, 0.06)
    angle, size = rng.normal(0, 0.3), math.exp(rng.normal(0, 0.12))
    along = (math.cos(angle) * dx + math.sin(angle) * dy) / (organ.width * size)
    across = (math.cos(angle) * dy - math.sin(angle) * dx) / (organ.height * size)
    turn = np.arctan2(across, along)
    radius = np.ones_like(turn)
    for waves in (2, 3, 4):
        radius += rng.normal(0, 0.07) * np.cos(waves * turn + rng.uniform(0, 2 * math.pi))
    inside: NDArray[np.bool_] = np.hypot(along, across) < radius
    return inside


def _as_picture(
    grey: NDArray[np.float64], rng: np.random.Generator, scanner: Scanner
) -> NDArray[np.uint8]:
    shading = ndimage.zoom(rng.normal(0, 0.04, (3, 3)), SIDE / 3, order=1)
    image = ndimage.gaussian_filter(grey + shading, 0.7)
    image = image + rng.uniform(0.01, scanner.noise) * rng.normal(size=image.shape)
    image = 1.0 - image if rng.random() < scanner.inverted else image
    picture: NDArray[np.uint8] = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    return picture
