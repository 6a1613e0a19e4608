"""The square that models of the SAM family look at, and the way there and back.

An image is scaled until its longest side fills the square; the rest, below or to the right of
it, is padding (Kirillov et al., Segment Anything, 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ibisagent.actions import Click
from ibisagent.tools.base import RGB, Mask

CERTAIN = 8.0
"""Logit given to a mask that somebody drew: sure (sigmoid 0.9997), yet inside the range that
mask decoders write."""


@dataclass(frozen=True)
class SquareFrame:
    """Where an image lies in a square of `side` pixels.

    Attributes:
        size: The image's (height, width).
        side: Side of the square, pixels.
    """

    size: tuple[int, int]
    side: int

    @classmethod
    def of(cls, rgb: RGB, side: int) -> SquareFrame:
        """Frame of a picture."""
        return cls((rgb.shape[0], rgb.shape[1]), side)

    @property
    def inner(self) -> tuple[int, int]:
        """(height, width) of the image inside the square; a very thin image keeps one pixel."""
        scale = self.side / max(self.size)
        height, width = (max(1, int(length * scale + 0.5)) for length in self.size)
        return height, width

    def pixel(self, click: Click) -> tuple[int, int]:
        """(row, column) of a click in the square."""
        return click.to_pixel(*self.inner)

    def logits_of(self, mask: Mask) -> NDArray[np.float32]:
        """Logits, axes (row, column) of the inner part, that say what a mask of the image says."""
        drawn = torch.from_numpy(mask.astype(np.float32))[None, None]
        small = functional.interpolate(drawn, self.inner, mode="bilinear", antialias=True)
        logits: NDArray[np.float32] = ((small[0, 0] * 2 - 1) * CERTAIN).numpy()
        return logits

    def to_image(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of the inner part, in the pixels of the image (bilinear)."""
        small = torch.from_numpy(logits)[None, None]
        full = functional.interpolate(small, self.size, mode="bilinear", align_corners=False)
        large: NDArray[np.float32] = full[0, 0].numpy()
        return large
