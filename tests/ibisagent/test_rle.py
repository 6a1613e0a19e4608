"""Run-length encoding: lossless, and unimpressed by hostile files."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pydantic import ValidationError

from ibisagent.errors import InvalidTrajectory
from ibisagent.rle import Rle
from ibisagent.volume import MAX_SIDE

unhurried = settings(deadline=None)  # wall time says more of the machine than of the code

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))


@unhurried
@given(MASKS)
def test_round_trip(mask: np.ndarray) -> None:
    encoded = Rle.encode(mask)
    assert np.array_equal(encoded.decode(), mask)
    assert encoded.decode().dtype == np.bool_
    assert Rle.model_validate_json(encoded.model_dump_json()) == encoded


@unhurried
@given(MASKS)
def test_memory_order_does_not_matter(mask: np.ndarray) -> None:
    assert Rle.encode(np.asfortranarray(mask)) == Rle.encode(mask)
    assert np.array_equal(Rle.encode(mask[::-1, ::2]).decode(), mask[::-1, ::2])


@pytest.mark.parametrize("shape", [(1, 1), (1, 4096), (4096, 1), (1500, 1300)])
@pytest.mark.parametrize("value", [False, True])
def test_sizes_and_constant_masks(shape: tuple[int, int], value: bool) -> None:
    mask = np.full(shape, value)
    encoded = Rle.encode(mask)
    assert encoded.size == shape
    assert np.array_equal(encoded.decode(), mask)


def test_runs_go_down_the_columns() -> None:
    mask = np.zeros((3, 2), dtype=bool)
    mask[:, 0] = True
    assert Rle.encode(mask).counts == "033"  # 0 outside, 3 inside, 3 outside


@pytest.mark.parametrize("counts", ["0", "1", "11", "?1", "4", "4O10", "03", "0330"])
def test_runs_that_do_not_fill_the_size_are_refused(counts: str) -> None:
    with pytest.raises(InvalidTrajectory, match=r"do not fit its size \(3, 2\)") as caught:
        Rle(size=(3, 2), counts=counts).decode()
    assert "original file" in caught.value.fix


@pytest.mark.parametrize(
    "counts", ["", "o", "0o", "P", "0\n", "\x000", "/", "p", "é", "\ud800", "PPPPPPP0", "6 "]
)
def test_text_that_is_no_run_length_is_refused(counts: str) -> None:
    with pytest.raises(ValidationError):
        Rle(size=(3, 2), counts=counts)


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-1, 4), (4,), (1, 2, 3), (MAX_SIDE + 1, 1)])
def test_sizes_that_no_picture_has_are_refused(size: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        Rle.model_validate({"size": size, "counts": "4"})


@settings(unhurried, max_examples=500)
@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=12))
def test_any_text_is_refused_or_fills_the_size(counts: str) -> None:
    try:
        mask = Rle(size=(5, 3), counts=counts).decode()
    except (ValidationError, InvalidTrajectory):
        return
    assert mask.shape == (5, 3)
    assert Rle.encode(mask).counts == counts


HOSTILE = """
import random, sys
from pydantic import ValidationError
from ibisagent.errors import InvalidTrajectory
from ibisagent.rle import Rle

rng = random.Random(int(sys.argv[1]))
first, last = 0 if rng.random() < 0.5 else 48, 127 if rng.random() < 0.5 else 111
decoded = refused = 0
for _ in range(5_000):
    length = rng.choice((1, 2, 3, 5, 8, 30, 300))
    counts = "".join(chr(rng.randint(first, last)) for _ in range(length))
    height, width = rng.randint(1, 9), rng.randint(1, 9)
    try:
        mask = Rle(size=(height, width), counts=counts).decode()
        assert mask.shape == (height, width) and Rle.encode(mask).counts == counts
        decoded += 1
    except (InvalidTrajectory, ValidationError):
        refused += 1
print(decoded + refused)
"""


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_hostile_runs_do_not_end_the_process(seed: int) -> None:
    # In a process of its own: read by pycocotools alone, such texts abort the interpreter.
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, str(seed)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "5000"), done.stderr


def test_area_is_the_number_of_marked_pixels() -> None:
    mask = np.zeros((7, 9), dtype=bool)
    assert Rle.encode(mask).area == 0
    mask[2:4, 3:8] = True
    assert Rle.encode(mask).area == 10
