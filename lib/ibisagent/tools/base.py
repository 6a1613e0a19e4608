"""What a segmentation tool is: clicks in, mask out.

The split into `SegmentationTool.set_image` (slow, once an image) and `PreparedImage.segment`
(fast, once a click) follows the predictor of segment-anything. Unlike there, `set_image`
returns the prepared image instead of keeping it, so that two episodes can share one tool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ibisagent.actions import Click

Mask = NDArray[np.bool_]
"""Binary image, axes (row, column)."""

RGB = NDArray[np.uint8]
"""Colour image, axes (row, column, channel), values 0-255."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A mask as a tool returned it, and what the tool needs to refine it.

    Attributes:
        mask: Binary mask, axes (row, column), in the pixels of the image that was set.
        score: The tool's own estimate of the mask's IoU with the target, in [0, 1].
        logits: Low-resolution mask logits, axes (row, column), float32, or None where the mask
            did not come from a tool (a user's starting mask). Only the tool that made them
            may read them.
    """

    mask: Mask
    score: float
    logits: NDArray[np.float32] | None = None

    @classmethod
    def empty(cls, height: int, width: int) -> Segmentation:
        """The state before the first click: nothing is segmented."""
        return cls(np.zeros((height, width), dtype=bool), 0.0)


class PreparedImage(Protocol):
    """An image whose embedding is ready for clicks."""

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        """Segment what the clicks point at.

        Args:
            clicks: All clicks so far, oldest first; at least one.
            prior: The previous segmentation of the same image, to be refined.

        Returns:
            A mask of the image's size. Equal arguments give equal results.

        Raises:
            ToolOutOfMemory: The device has no room for this image.
        """
        ...


class SegmentationTool(Protocol):
    """A promptable segmentation model. Keeps embeddings of recent images, never clicks."""

    @property
    def name(self) -> str:
        """Identity for trajectories and logs: backend, checkpoint and version."""
        ...

    def set_image(self, rgb: RGB) -> PreparedImage:
        """Embed an image, or find its embedding in the cache.

        Args:
            rgb: The plain image without any overlay, axes (row, column, channel), uint8.

        Raises:
            ToolOutOfMemory: The device has no room for this image.
        """
        ...
