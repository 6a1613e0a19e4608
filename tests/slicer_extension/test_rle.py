"""Masks are read as pycocotools reads them; hostile ones are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from ibisagent.errors import InvalidTrajectory
from ibisagent.rle import Rle as ServerRle
from IBISAgentLib.errors import InvalidMask
from IBISAgentLib.protocol import Rle
from IBISAgentLib.rle import MAX_SIDE, decode

unhurried = settings(deadline=None)  # wall time says more of the machine than of the code


def encoded(mask: np.ndarray) -> Rle:
    counts = coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return Rle(mask.shape, counts.decode("ascii"))


@settings(unhurried, max_examples=200)
@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_reads_what_pycocotools_writes(mask):
    found = decode(encoded(mask))
    assert found.dtype == bool
    np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2048, 2048)])
@pytest.mark.parametrize("value", [0, 1])
def test_reads_sizes_and_constant_masks(shape, value):
    np.testing.assert_array_equal(decode(encoded(np.full(shape, value))), np.full(shape, value))


def test_reads_a_large_noisy_mask():
    mask = np.random.default_rng(0).random((1024, 900)) < 0.5
    np.testing.assert_array_equal(decode(encoded(mask)), mask)


def test_reads_long_runs_in_many_groups():
    mask = np.zeros((4000, 4000), bool)  # a run of nearly 2 to the 24th: five groups of bits
    mask[-1, -1] = True
    np.testing.assert_array_equal(decode(encoded(mask)), mask)


@settings(unhurried, max_examples=500)
@given(st.text("0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmno", max_size=12))
def test_refuses_what_the_server_refuses(counts):
    """Whatever the text: no crash, and no mask where the server would give none."""
    try:
        mine = decode(Rle((4, 5), counts))
    except InvalidMask:
        mine = None
    try:
        theirs = ServerRle(size=(4, 5), counts=counts).decode()
    except (InvalidTrajectory, ValueError):
        return
    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    "counts",
    ["", "o", "P", "0o", "ooooooooooooooo0", "é", "\x00", "~~", "J", "55", "4", "\ud800", "`" * 9],
)
def test_hostile_runs_are_refused(counts):
    with pytest.raises(InvalidMask) as refused:
        decode(Rle((4, 5), counts))
    assert refused.value.fix


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-1, -20), (MAX_SIDE + 1, 1), (10**9, 10**9)])
def test_sizes_that_no_picture_has_are_refused(size):
    with pytest.raises(InvalidMask):
        decode(Rle(size, "d0"))
