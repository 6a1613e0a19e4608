"""LiteMedSAM at a small size."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.tiny_litemedsam import build

from ibisagent.tools import litemedsam_net
from ibisagent.tools.litemedsam_net import LiteMedSAMNet

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
