"""A tool that tries once more with a smaller picture where memory runs out."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ibisagent.actions import Click
from ibisagent.errors import ToolOutOfMemory
from ibisagent.tools.ahead import at_once, embed_ahead
from ibisagent.tools.base import RGB, Mask, PreparedImage, Segmentation, SegmentationTool

logger = logging.getLogger(__name__)


class SmallerRetry:
    """Wraps a tool. Masks from a smaller picture are enlarged again, so their edges are coarser.

    Args:
        tool: Asked first with the picture as it is, then with every second row and column.
    """

    def __init__(self, tool: SegmentationTool) -> None:
        self._tool = tool

    @property
    def name(self) -> str:
        """That of the tool."""
        return self._tool.name

    @property
    def at_once(self) -> int:
        """See `ibisagent.tools.ahead.LooksAhead`."""
        return at_once(self._tool)

    def embed_ahead(self, pictures: Iterable[RGB]) -> None:
        """See `ibisagent.tools.ahead.LooksAhead`; what has no room is left to `set_image`."""
        embed_ahead(self._tool, pictures)

    def set_image(self, rgb: RGB) -> PreparedImage:
        """See `SegmentationTool.set_image`.

        Raises:
            ToolOutOfMemory: There is no room for the smaller picture either.
        """
        try:
            return _AsItIs(self._tool.set_image(rgb), self, rgb)
        except ToolOutOfMemory as error:
            first = error
        return self.smaller(rgb, first)

    def smaller(self, rgb: RGB, error: ToolOutOfMemory) -> PreparedImage:
        """Prepare the smaller picture.

        Args:
            rgb: The picture as it is.
            error: What went wrong with it.

        Raises:
            ToolOutOfMemory: There is no room for the smaller picture either, or it would be
                too small to show anything.
        """
        height, width = rgb.shape[:2]
        if min(height, width) < 2 * _LEAST_SIDE:
            raise error
        logger.warning("%s Trying again with a smaller picture.", error.message)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        small = np.ascontiguousarray(rgb[::2, ::2])
        return _Halved(self._tool.set_image(small), (height, width))


_LEAST_SIDE = 32
"""Pixels below which a picture shows nothing worth a click."""


@dataclass(frozen=True, eq=False)
class _AsItIs:
    prepared: PreparedImage
    retry: SmallerRetry
    rgb: RGB

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        try:
            return self.prepared.segment(clicks, prior)
        except ToolOutOfMemory as error:
            first = error
        return self.retry.smaller(self.rgb, first).segment(clicks, prior)


@dataclass(frozen=True, eq=False)
class _Halved:
    prepared: PreparedImage
    size: tuple[int, int]

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        if prior is not None:  # its logits may be of another size
            prior = Segmentation(prior.mask[::2, ::2], prior.score)
        small = self.prepared.segment(clicks, prior)
        return Segmentation(self._enlarged(small.mask), small.score)

    def _enlarged(self, mask: Mask) -> Mask:
        height, width = self.size
        enlarged: Mask = mask.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
        return enlarged
