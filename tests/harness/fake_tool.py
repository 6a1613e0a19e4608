"""A segmentation tool whose masks can be computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ibisagent.actions import Click
from ibisagent.tools.base import RGB, Mask, Segmentation


def disc(shape: tuple[int, int], row: int, column: int, radius: float) -> Mask:
    """Pixels whose centres lie within `radius` of a pixel's centre."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


@dataclass
class DiscTool:
    """Each positive click adds a disc to the prior mask, each negative click removes one.

    Attributes:
        radius: Of every disc, in pixels.
        asked: Clicks and prior of every call, oldest first.
        failure: Raised by the next call, if set.
    """

    radius: float = 6.0
    asked: list[tuple[tuple[Click, ...], Segmentation | None]] = field(default_factory=list)
    failure: Exception | None = None

    name = "disc-tool"

    def set_image(self, rgb: RGB) -> _PreparedDiscs:
        return _PreparedDiscs(self, rgb.shape[:2])


@dataclass
class _PreparedDiscs:
    tool: DiscTool
    shape: tuple[int, int]

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        if self.tool.failure is not None:
            raise self.tool.failure
        self.tool.asked.append((tuple(clicks), prior))
        mask = np.zeros(self.shape, dtype=bool) if prior is None else prior.mask.copy()
        for click in clicks:
            mask[disc(self.shape, *click.to_pixel(*self.shape), self.tool.radius)] = click.positive
        return Segmentation(mask, score=0.5, logits=mask[::4, ::4].astype(np.float32))
