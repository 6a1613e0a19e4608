"""The scripted annotator for whole volumes: it recognises the slice by its picture.

An observation does not say which slice it shows, so that no policy can depend on it. Where the
mask is not drawn, the picture is the slice's own; that tells the slices of real images apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ibisagent.actions import format_reply
from ibisagent.policies.base import Cancelled, Observation, never
from ibisagent.policies.scripted import annotate
from ibisagent.slices import SliceView
from ibisagent.tools.base import Mask


class VolumeAnnotator:
    """Clicks on the largest error of whichever slice it is shown.

    Args:
        view: The image, in the plane in which it will be shown. All pictures are kept in memory.
        truth: The target, above 0, axes (k, j, i) of the image.
        target: The target's name, for the thoughts.
        stop_iou: IoU in (0, 1] from which a mask is good enough.
    """

    name = "scripted-volume-annotator"

    def __init__(
        self, view: SliceView, truth: NDArray[np.generic], target: str, stop_iou: float = 0.85
    ) -> None:
        self._pictures = np.stack([view.rgb(index)[:, :, 0] for index in range(view.count)])
        self._truths = [view.from_volume(truth, index) > 0 for index in range(view.count)]
        self._target = target
        self._stop_iou = stop_iou

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        """One reply an observation, each judged against the truth of its slice.

        Raises:
            ValueError: A picture is of no slice, or of several that have different truths.
        """
        return [
            format_reply(annotate(self._truth(seen), seen.mask, self._target, self._stop_iou))
            for seen in observations
        ]

    def _truth(self, seen: Observation) -> Mask:
        plain = ~seen.mask
        shown = seen.pictures[-1][:, :, 0][plain]
        alike = np.flatnonzero((self._pictures[:, plain] == shown).all(axis=1))
        truths: list[Mask] = [self._truths[index] for index in alike]
        if not truths or any(not np.array_equal(truths[0], other) for other in truths[1:]):
            raise ValueError(f"the picture is of {len(truths)} slices with different truths")
        return truths[0]
