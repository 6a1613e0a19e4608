"""A small synthetic corpus, its gallery, and an untrained checkpoint that fits it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ibistrain.batches.gallery import Gallery
from ibistrain.catalogue import Catalogue
from ibistrain.labelled_picture import LabelledPicture
from ibistrain.starting_point import write_starting_point
from ibistrain.tiny import TinySize

SIZE = TinySize(
    picture=96,
    vision_width=48,
    vision_layers=2,
    vision_heads=2,
    text_width=64,
    text_layers=3,
    vocabulary=400,
)


def labelled_picture(seed: int, set_name: str = "blobs") -> LabelledPicture:
    """A grey picture with a bright disc and a dark square at random places."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((100, 120), np.uint8)
    rows, columns = np.ogrid[:100, :120]
    row, column = rng.integers(20, 80), rng.integers(20, 50)
    labels[(rows - row) ** 2 + (columns - column) ** 2 < 14**2] = 1
    top, left = rng.integers(5, 75), rng.integers(70, 95)
    labels[top : top + 20, left : left + 20] = 2
    grey = np.choose(labels, [90, 220, 20]) + rng.integers(-8, 8, labels.shape)
    rgb = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    targets = {"disc": (1,), "square left": (2,), "star": (3,), "thing": (1, 2)}
    return LabelledPicture(set_name, f"s{seed % 3}", f"p{seed}", rgb, labels, targets, False)


@pytest.fixture(scope="session")
def pictures() -> list[LabelledPicture]:
    return [labelled_picture(seed) for seed in range(6)]


@pytest.fixture(scope="session")
def gallery(pictures: list[LabelledPicture]) -> Gallery:
    return Gallery.of(pictures, {"blobs": 1.0})


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue(sets={}, synonyms={"disc": ("circle",)})


@pytest.fixture(scope="session")
def start(
    pictures: list[LabelledPicture], catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folder of an untrained checkpoint for the synthetic corpus."""
    folder = tmp_path_factory.mktemp("start")
    write_starting_point(folder, pictures, catalogue, SIZE)
    return folder
