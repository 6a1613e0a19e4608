"""A second opinion where the first mask is bad."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ibisagent.actions import Click
from ibisagent.tools import litemedsam
from ibisagent.tools.base import RGB
from ibisagent.tools.click_consistency import Logits, Point
from ibisagent.tools.click_prompt import blank
from ibisagent.tools.doubtful_click import DOUBTFUL, reconsider
from ibisagent.tools.litemedsam import LiteMedSAM
from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet

Picture = Callable[[int, int], RGB]


def test_boxes_find_the_large_even_disc(picture: Picture) -> None:
    rgb = picture(320, 320)[32:288, 32:288]
    (logits, plausibility), truth = _reconsidered(rgb), rgb[..., 0] > 100
    found = logits > 0
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    assert plausibility > DOUBTFUL


def test_boxes_do_not_answer_with_a_small_mask(picture: Picture) -> None:
    logits, score = _reconsidered(picture(SIDE, SIDE))  # its disc covers 0.09
    assert score == 0.1
    assert not (logits > 0).any()


def test_a_less_plausible_mask_is_not_taken(picture: Picture) -> None:
    logits, score = _reconsidered(picture(320, 320)[32:288, 32:288], 0.99)
    assert score == 0.99
    assert not (logits > 0).any()


def _reconsidered(rgb: RGB, score: float = 0.1) -> tuple[Logits, float]:
    """The second opinion on an empty mask, clicked in the middle."""
    net, (height, width) = LiteMedSAMNet("cpu"), rgb.shape[:2]
    middle = Point(width // 2, height // 2, True)
    return reconsider(net, net.embed(rgb), (height, width), middle, (blank(SIDE), score))


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
