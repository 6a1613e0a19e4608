"""What every tool accepts, and the errors for what it does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ibisagent.actions import Click
from ibisagent.errors import InvalidRequest, UnsupportedImage
from ibisagent.tools.base import RGB, Segmentation


def require_rgb(rgb: RGB) -> None:
    """Check the argument of `SegmentationTool.set_image`.

    Raises:
        UnsupportedImage: Not axes (row, column, 3), not uint8, or without pixels.
    """
    if rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.dtype == np.uint8 and rgb.size > 0:
        return
    raise UnsupportedImage(
        f"A picture of shape {rgb.shape} and type {rgb.dtype} cannot be segmented.",
        "Give 8-bit colour: axes (row, column, 3), values 0-255.",
    )


def checked(pictures: Iterable[RGB]) -> Iterator[RGB]:
    """The pictures, each checked by `require_rgb` as it is taken."""
    for rgb in pictures:
        require_rgb(rgb)
        yield rgb


def require_prompt(
    clicks: Sequence[Click], prior: Segmentation | None, size: tuple[int, int]
) -> None:
    """Check the arguments of `PreparedImage.segment` for an image of (height, width) `size`.

    Raises:
        InvalidRequest: There is no click, or the prior has another size than the image.
    """
    if not clicks:
        raise InvalidRequest(
            "The segmentation tool was called without a click.", "Give at least one click."
        )
    if prior is not None and prior.mask.shape != size:
        raise InvalidRequest(
            f"The starting mask has {prior.mask.shape} pixels, the image has {size}.",
            "Give a mask of the image's own height and width.",
        )
