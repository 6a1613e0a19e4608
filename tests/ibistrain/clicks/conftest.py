"""A gallery of the synthetic corpus, and LiteMedSAM at a small size."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from harness.tiny_litemedsam import build

from ibisagent.tools import litemedsam_net
from ibisagent.tools.litemedsam_net import LiteMedSAMNet
from ibistrain.batches.gallery import Gallery
from ibistrain.corpus import LabelledPicture

_BUILD = "ibisagent.tools.litemedsam_net._build"
_build_real = litemedsam_net._build


@pytest.fixture(scope="module")
def tiny() -> Iterator[None]:
    """All of LiteMedSAM's networks are small and untrained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_BUILD, build)
        yield


@pytest.fixture(scope="module")
def net(tiny: None) -> LiteMedSAMNet:
    return LiteMedSAMNet("cpu")


@pytest.fixture
def real_net(monkeypatch: pytest.MonkeyPatch) -> LiteMedSAMNet:
    """LiteMedSAM itself, also where the others are small."""
    monkeypatch.setattr(_BUILD, _build_real)
    return LiteMedSAMNet("cpu")


@pytest.fixture(scope="session")
def gallery(pictures: list[LabelledPicture]) -> Gallery:
    return Gallery.of(pictures, {"blobs": 1.0})


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
