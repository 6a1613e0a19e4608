"""What a propagation has settled so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ibisagent.slices import SliceView
from ibisagent.tools.base import Mask


@dataclass(frozen=True, eq=False)
class Key:
    """The mask of a slice that agent or person have made: a source for the slices around.

    Attributes:
        mask: Axes (row, column), not empty.
        score: The tool's score of it; None for a mask that no tool has made.
        area: Its number of pixels.
    """

    mask: Mask
    score: float | None
    area: int


class Ledger:
    """Slices on which the target is known to be or not to be, and its mask.

    Args:
        view: The image in one plane.
        given: A person's mask, above 0 where the target is, axes (k, j, i) of the image. Slices
            that it marks count as settled; of the others it says nothing.

    Attributes:
        volume: The mask so far, uint8, 1 where the target is, axes (k, j, i).
        found: Slice -> whether the target is on it; slices not settled are not in it.
    """

    def __init__(self, view: SliceView, given: NDArray[Any] | None = None) -> None:
        self._view = view
        self.volume: NDArray[np.uint8] = np.zeros(view.volume_shape, np.uint8)
        if given is not None:
            self.volume[...] = given > 0
        marked = [index for index in range(view.count) if self.mask(index).any()]
        self.found: dict[int, bool] = dict.fromkeys(marked, True)
        self._keys: dict[int, Key | None] = dict.fromkeys(marked)  # None: as the volume has it

    @property
    def anything(self) -> bool:
        """Whether the target was found on any slice."""
        return any(self.found.values())

    def settle_key(self, index: int, mask: Mask, score: float | None) -> None:
        """Note the mask of agent or person; an empty one means that the target is not there."""
        self._settle(index, mask)
        self._keys.pop(index, None)
        if self.found[index]:
            self._keys[index] = Key(mask, score, int(mask.sum()))

    def settle_carried(self, index: int, mask: Mask) -> None:
        """Note a mask that was carried from the key slices around."""
        self._settle(index, mask)

    def keys_around(self, index: int) -> tuple[int, int]:
        """The nearest key slices below and above a slice between two of them."""
        below = max(key for key in self._keys if key < index)
        return below, min(key for key in self._keys if key > index)

    def key(self, index: int) -> Key:
        """The mask of a key slice."""
        known = self._keys[index]
        if known is None:
            mask = self.mask(index)
            known = Key(mask, None, int(mask.sum()))
        return known

    def mask(self, index: int) -> Mask:
        """A slice of the volume so far, in the pixels of the picture."""
        return np.asarray(self._view.from_volume(self.volume, index) > 0)

    def _settle(self, index: int, mask: Mask) -> None:
        self._view.into_volume(mask, self.volume, index)
        self.found[index] = bool(mask.any())
