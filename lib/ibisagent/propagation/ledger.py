"""What a propagation has settled so far."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ibisagent.propagation.agreement import Standing
from ibisagent.slices import SliceView
from ibisagent.tools.base import Mask


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
        self._standing: dict[int, Standing] = {}
        self.volume: NDArray[np.uint8] = np.zeros(view.volume_shape, np.uint8)
        if given is not None:
            self.volume[...] = given > 0
        marked = (index for index in range(view.count) if self._drawn(index).any())
        self.found: dict[int, bool] = dict.fromkeys(marked, True)

    @property
    def anything(self) -> bool:
        """Whether the target was found on any slice."""
        return any(self.found.values())

    def settle(self, index: int, standing: Standing) -> None:
        """Note a slice's mask; an empty one means that the target is not there."""
        self._view.into_volume(standing.mask, self.volume, index)
        self.found[index] = bool(standing.mask.any())
        if self.found[index]:
            self._standing[index] = standing
        for near in (index - 1, index, index + 1):
            if near - 1 in self.found and near + 1 in self.found:
                self._standing.pop(near, None)  # nothing is carried from it any more

    def standing(self, index: int) -> Standing:
        """The mask of a slice that is settled, as a source for its neighbours."""
        if index not in self._standing:
            mask = self._drawn(index)
            return Standing(mask, 0, None, int(mask.sum()))
        return self._standing[index]

    def _drawn(self, index: int) -> Mask:
        """A slice of the volume, in the pixels of the picture."""
        return np.asarray(self._view.from_volume(self.volume, index) > 0)
