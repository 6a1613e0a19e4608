"""Masks as COCO run-length encoding, by pycocotools."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pycocotools import mask as coco
from pydantic import BaseModel, ConfigDict, Field

from ibisagent.errors import InvalidTrajectory
from ibisagent.tools.base import Mask
from ibisagent.volume import MAX_SIDE

Side = Annotated[int, Field(gt=0, le=MAX_SIDE)]

# A run is up to six characters "P" to "o" (more to come) and one of "0" to "O" (the last).
# pycocotools reads and writes beyond its buffers where a last one is missing, so that a hostile
# file could end the process; hence the pattern, and not the library, is the first to read it.
_RUNS = "^([P-o]{0,6}[0-O])+$"


class Rle(BaseModel):
    """A binary image in compressed COCO form (column-major runs).

    Attributes:
        size: Height and width in pixels.
        counts: The runs, as the ASCII string that COCO's tools write.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: tuple[Side, Side] = Field(description="Height and width in pixels.")
    counts: str = Field(
        description="Compressed run lengths as COCO's tools write them.", pattern=_RUNS
    )

    @classmethod
    def encode(cls, mask: Mask) -> Rle:
        """Encode a mask with axes (row, column)."""
        height, width = mask.shape
        return cls(size=(height, width), counts=_encode(mask))

    def decode(self) -> Mask:
        """The mask, axes (row, column), bool.

        Raises:
            InvalidTrajectory: The runs do not add up to the size.
        """
        try:
            mask = coco.decode({"size": list(self.size), "counts": self.counts.encode("ascii")})
        except ValueError as error:
            raise self._misfit() from error
        # Pixels that no run reaches are left as the memory was; encoding again reveals them.
        if _encode(mask) != self.counts:
            raise self._misfit()
        return np.asarray(mask, dtype=bool)

    @property
    def area(self) -> int:
        """Number of pixels marked."""
        return int(coco.area({"size": list(self.size), "counts": self.counts.encode("ascii")}))

    def _misfit(self) -> InvalidTrajectory:
        return InvalidTrajectory(
            f"A mask's run lengths do not fit its size {self.size}.",
            "The trajectory was changed after it was written; take the original file.",
        )


def _encode(mask: np.ndarray[Any, Any]) -> str:
    encoded: dict[str, Any] = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    counts: bytes = encoded["counts"]
    return counts.decode("ascii")
