"""A second opinion where the first mask is bad."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ibisagent.actions import Click
from ibisagent.tools import litemedsam
from ibisagent.tools.base import RGB
from ibisagent.tools.click_consistency import Point
from ibisagent.tools.click_prompt import blank
from ibisagent.tools.doubtful_click import reconsider
from ibisagent.tools.litemedsam import LiteMedSAM
from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet

Picture = Callable[[int, int], RGB]


def test_boxes_find_the_large_even_disc(picture: Picture) -> None:
    net, rgb = LiteMedSAMNet("cpu"), picture(SIDE, SIDE)
    middle = Point(SIDE // 2, SIDE // 2, True)
    logits, plausibility = reconsider(net, net.embed(rgb), (SIDE, SIDE), middle, blank(SIDE))
    found, truth = logits > 0, rgb[..., 0] > 100
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    assert 0 <= plausibility <= 1


def test_only_doubtful_first_masks_are_reconsidered(
    embedded: LiteMedSAM, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    ask = embedded.reconsider
    monkeypatch.setattr(embedded, "reconsider", lambda *a: (asked.append(a), ask(*a))[1])
    prepared = embedded.set_image(picture(120, 160))
    monkeypatch.setattr(litemedsam, "DOUBTFUL", 0.0)
    sure = prepared.segment([Click(0.5, 0.5)])
    assert not asked
    monkeypatch.setattr(litemedsam, "DOUBTFUL", 1.1)
    prepared.segment([Click(0.5, 0.5)])
    assert len(asked) == 1
    prepared.segment([Click(0.5, 0.5), Click(0.95, 0.05)], sure)
    assert len(asked) == 1
    assert np.isfinite(sure.score)
