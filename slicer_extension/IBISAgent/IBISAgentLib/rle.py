"""Masks in compressed COCO form, read with numpy; Slicer ships no pycocotools.

The form is that of ``maskApi.c`` in cocodataset/cocoapi: run lengths in column-major order,
beginning with background; from the fourth on as difference to the one before the last; each in
groups of five bits from the lowest up, with one bit for "more follows", as characters from "0".
"""

from __future__ import annotations

import typing

import numpy as np

from .errors import InvalidMask
from .protocol import Rle

if typing.TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SIDE = 2**14
"""Pixels; no picture of the server's is longer."""

_LONGEST = 7  # characters of a number: 35 bits hold any run


def decode(rle: Rle) -> NDArray[np.bool_]:
    """The mask, axes (row, column), bool.

    Raises:
        InvalidMask: Text that is no run-length encoding, or one that does not fill the size.
    """
    height, width = rle.size
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
        raise _invalid(f"has the size {height} x {width}")
    runs = _runs(rle.counts)
    if (runs < 0).any() or runs.sum() != height * width or (runs > height * width).any():
        raise _invalid("does not fill its size")
    values = np.arange(len(runs)) % 2 == 1
    mask: NDArray[np.bool_] = np.repeat(values, runs).reshape(width, height).T
    return mask


def _runs(counts: str) -> NDArray[np.int64]:
    """The run lengths; those that cannot be are left to the caller."""
    try:
        text = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - ord("0")
    except UnicodeEncodeError as error:
        raise _invalid("is no run-length encoding") from error
    if not text.size or text.min() < 0 or text.max() > 63 or text[-1] & 32:
        raise _invalid("is no run-length encoding")
    last = np.flatnonzero((text & 32) == 0)
    first = np.concatenate(([0], last[:-1] + 1))
    lengths = last - first + 1
    if lengths.max() > _LONGEST:
        raise _invalid("is no run-length encoding")
    shifts = 5 * (np.arange(text.size) - np.repeat(first, lengths))
    numbers = np.add.reduceat((text & 31) << shifts, first)
    numbers -= np.where(text[last] & 16, np.int64(1) << (5 * lengths), 0)
    return _summed(numbers)


def _summed(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """From differences to run lengths; the first three are no differences."""
    runs = numbers.copy()
    runs[1::2] = np.cumsum(numbers[1::2])
    runs[2::2] = np.cumsum(numbers[2::2])
    return runs


def _invalid(what: str) -> InvalidMask:
    return InvalidMask(
        f"A mask from the server {what}.",
        "Try again; if it stays, update the extension and the server.",
    )
