from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from ibisagent.actions import Click
from ibisagent.errors import ToolOutOfMemory
from ibisagent.tools.base import RGB, Segmentation
from ibisagent.tools.smaller_retry import SmallerRetry


@dataclass
class Cramped:
    """Marks the left half; has room for pictures up to a number of pixels.

    Attributes:
        room: Pixels, when the image is set.
        room_for_clicks: Pixels, when it is clicked on.
        sizes: Of all pictures that were set.
    """

    room: int = 10**9
    room_for_clicks: int = 10**9
    sizes: list[tuple[int, ...]] = field(default_factory=list)
    priors: list[Segmentation | None] = field(default_factory=list)

    name = "cramped"

    def set_image(self, rgb: RGB) -> _Prepared:
        self.sizes.append(rgb.shape[:2])
        if rgb.shape[0] * rgb.shape[1] > self.room:
            raise ToolOutOfMemory("No room.", "Buy more.")
        return _Prepared(self, rgb.shape[:2])


@dataclass
class _Prepared:
    tool: Cramped
    size: tuple[int, int]

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        if self.size[0] * self.size[1] > self.tool.room_for_clicks:
            raise ToolOutOfMemory("No room.", "Buy more.")
        self.tool.priors.append(prior)
        mask = np.zeros(self.size, dtype=bool)
        mask[:, : self.size[1] // 2] = True
        return Segmentation(mask, 0.7, np.zeros((4, 4), np.float32))


PICTURE = np.zeros((101, 80, 3), np.uint8)
CLICKS = [Click(0.2, 0.5)]


def test_with_room_the_tool_is_asked_once_and_its_answer_is_unchanged() -> None:
    tool = Cramped()
    result = SmallerRetry(tool).set_image(PICTURE).segment(CLICKS)
    assert tool.sizes == [(101, 80)]
    assert result.logits is not None


@pytest.mark.parametrize("tool", [Cramped(room=5000), Cramped(room_for_clicks=5000)])
def test_smaller_picture_gives_a_mask_of_the_full_size(tool: Cramped) -> None:
    prior = Segmentation(np.ones((101, 80), dtype=bool), 0.5, np.zeros((4, 4), np.float32))
    result = SmallerRetry(tool).set_image(PICTURE).segment(CLICKS, prior)
    assert tool.sizes == [(101, 80), (51, 40)]
    assert result.mask.shape == (101, 80)
    assert result.mask[:, :40].all()
    assert not result.mask[:, 40:].any()
    assert result.logits is None
    assert tool.priors[0].mask.shape == (51, 40)
    assert tool.priors[0].logits is None


@pytest.mark.parametrize("tool", [Cramped(room=100), Cramped(room_for_clicks=100)])
def test_without_room_for_the_smaller_one_it_fails_clearly(tool: Cramped) -> None:
    with pytest.raises(ToolOutOfMemory):
        SmallerRetry(tool).set_image(PICTURE).segment(CLICKS)
    assert len(tool.sizes) == 2


def test_tiny_pictures_are_not_halved() -> None:
    tool = Cramped(room=100)
    with pytest.raises(ToolOutOfMemory):
        SmallerRetry(tool).set_image(PICTURE[:40, :40])
    assert len(tool.sizes) == 1
