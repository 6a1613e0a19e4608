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
SCORE = 0.1


def test_boxes_find_the_large_even_disc(picture: Picture) -> None:
    rgb = _close(picture)
    (logits, plausibility), truth = _reconsidered(rgb, 0.05), rgb[..., 0] > 100
    found = logits > 0
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    assert plausibility > DOUBTFUL


def test_boxes_do_not_answer_with_a_small_mask(picture: Picture) -> None:
    _, score = _reconsidered(picture(SIDE, SIDE), 0.05)  # its disc covers 0.09
    assert score == SCORE


def test_a_less_plausible_mask_is_not_taken(picture: Picture) -> None:
    _, score = _reconsidered(_close(picture), 0.05, 0.99)
    assert score == 0.99


@pytest.mark.parametrize("covered", [0.0, 0.01])
def test_a_mask_many_times_as_large_is_something_else(picture: Picture, covered: float) -> None:
    logits, score = _reconsidered(_close(picture), covered)
    assert score == SCORE
    assert (logits > 0).mean() == pytest.approx(covered, rel=0.1)


def _close(picture: Picture) -> RGB:
    """A disc that covers 0.14 of its picture."""
    return picture(320, 320)[32:288, 32:288]


def _reconsidered(rgb: RGB, covered: float, score: float = SCORE) -> tuple[Logits, float]:
    """The second opinion on a square in the middle, clicked there.

    Args:
        rgb: The picture.
        covered: Share of it that the square covers.
        score: Of the square.
    """
    net, (height, width) = LiteMedSAMNet("cpu"), rgb.shape[:2]
    mask, half = blank(SIDE), round(SIDE * covered**0.5 / 2)
    mask[SIDE // 2 - half : SIDE // 2 + half, SIDE // 2 - half : SIDE // 2 + half] = 5
    middle = Point(width // 2, height // 2, True)
    return reconsider(net, net.embed(rgb), (height, width), middle, (mask, score))


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
