"""What tools refuse."""

from __future__ import annotations

import numpy as np
import pytest

from ibisagent.actions import Click
from ibisagent.errors import InvalidRequest, UnsupportedImage
from ibisagent.tools.arguments import require_prompt, require_rgb
from ibisagent.tools.base import Segmentation


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((4, 5), np.uint8),
        ((4, 5, 1), np.uint8),
        ((4, 5, 4), np.uint8),
        ((4, 5, 3), np.float32),
        ((0, 5, 3), np.uint8),
    ],
)
def test_only_8_bit_colour_is_a_picture(shape: tuple[int, ...], kind: type) -> None:
    with pytest.raises(UnsupportedImage, match="8-bit colour"):
        require_rgb(np.zeros(shape, kind))


def test_a_picture_passes() -> None:
    require_rgb(np.zeros((1, 1, 3), np.uint8))


def test_a_click_is_needed() -> None:
    with pytest.raises(InvalidRequest, match="at least one click"):
        require_prompt([], None, (4, 5))


def test_a_prior_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="height and width"):
        require_prompt([Click(0.5, 0.5)], Segmentation.empty(5, 4), (4, 5))


def test_a_click_and_a_prior_of_the_same_size_pass() -> None:
    require_prompt([Click(0.5, 0.5)], Segmentation.empty(4, 5), (4, 5))
