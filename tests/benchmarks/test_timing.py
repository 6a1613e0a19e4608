"""What ratios are made of."""

from __future__ import annotations

import pytest

from benchmarks.timing import Times


@pytest.mark.parametrize(
    ("cpu", "device", "pace"),
    [([1.0, 2.0, 3.0], "cpu", 2.0), ([1.0, 2.0, 3.0], "cuda", 8.0), ([], "cpu", 8.0)],
)
def test_the_processors_own_seconds_count_where_it_did_the_work(
    cpu: list[float], device: str, pace: float
) -> None:
    assert Times(seconds=[7.0, 8.0, 90.0], cpu=cpu).pace(device) == pace
