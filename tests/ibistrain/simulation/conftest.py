"""A root with a set of pictures and one of a volume, and settings that play on it in no time."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.labelled_set import write_set

from ibistrain.catalogue import Catalogue
from ibistrain.simulation.settings import SimulationSettings

PLACES = [(8 + 3 * n, 10 + 4 * n) for n in range(8)]


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    write_set(folder, "discs", PLACES)
    write_set(folder, "stack", PLACES[:5], volume=True)
    return folder


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(sets={}, synonyms={"disc": ("circle",)})


@pytest.fixture
def settings() -> SimulationSettings:
    return SimulationSettings(planes={"axial": 1}, keep_iou=0.3, min_pixels=10)
