"""Metrics against implementations of their own."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from monai.metrics import DiceMetric, MeanIoU
from scipy.spatial.distance import cdist

from ibisagent.metrics import dice, entity_f1, iou, noc, nsd

unhurried = settings(deadline=None)  # wall time says more of the machine than of the code

EMPTY = np.zeros((4, 5), dtype=bool)
FULL = np.ones((4, 5), dtype=bool)


def masks(count: int = 2, **shape: int) -> st.SearchStrategy[list[np.ndarray]]:
    """Masks of one shape."""
    return array_shapes(**shape).flatmap(
        lambda size: st.lists(arrays(np.bool_, size), min_size=count, max_size=count)
    )


def square(row: int, column: int, side: int = 4, size: int = 12) -> np.ndarray:
    mask = np.zeros((size, size), dtype=bool)
    mask[row : row + side, column : column + side] = True
    return mask


@unhurried
@given(masks(min_dims=2, max_dims=3, min_side=1, max_side=6))
def test_dice_and_iou_agree_with_monai(pair: list[np.ndarray]) -> None:
    prediction, truth = pair
    assume(truth.any())  # MONAI leaves the others out
    batch = [torch.from_numpy(mask)[None, None].float() for mask in pair]
    assert dice(prediction, truth) == pytest.approx(DiceMetric()(*batch).item())
    assert iou(prediction, truth) == pytest.approx(MeanIoU()(*batch).item())


@unhurried
@given(masks(min_dims=2, max_dims=3, min_side=1, max_side=6))
def test_laws_of_dice_and_iou(pair: list[np.ndarray]) -> None:
    prediction, truth = pair
    overlap, coefficient = iou(prediction, truth), dice(prediction, truth)
    assert 0 <= overlap <= coefficient <= 1
    assert coefficient == pytest.approx(2 * overlap / (1 + overlap))
    assert overlap == iou(truth, prediction)
    assert iou(truth, truth) == dice(truth, truth) == 1
    assert (overlap == 1) == np.array_equal(prediction, truth)


def test_worked_example() -> None:
    prediction, truth = square(2, 2), square(2, 4)  # 16 pixels each, 8 in common
    assert iou(prediction, truth) == 8 / 24
    assert dice(prediction, truth) == 16 / 32


def test_empty_masks() -> None:
    for metric in (iou, dice, lambda a, b: nsd(a, b, 1.0, (1.0, 1.0))):
        assert metric(EMPTY, EMPTY) == 1
        assert metric(EMPTY, FULL) == 0
        assert metric(FULL, EMPTY) == 0


def test_scores_are_plain_floats() -> None:
    scores = (iou(FULL, FULL), dice(FULL, FULL), nsd(FULL, FULL, 1.0, (1.0, 1.0)))
    assert {type(score) for score in scores} == {float}


def surface(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Places in mm of the voxels with a neighbour outside the mask; the edge counts as outside."""
    padded = np.pad(mask, 1)
    inner = tuple(slice(1, -1) for _ in mask.shape)
    outside = np.zeros_like(mask)
    for axis, step in product(range(mask.ndim), (-1, 1)):
        outside |= ~np.roll(padded, step, axis)[inner]
    return np.argwhere(mask & outside) * np.array(spacing)


def surface_dice(
    prediction: np.ndarray, truth: np.ndarray, tolerance: float, spacing: tuple[float, ...]
) -> float:
    """NSD from the distances between all pairs of surface voxels."""
    distances = cdist(surface(prediction, spacing), surface(truth, spacing))
    near = (distances.min(1) <= tolerance).sum() + (distances.min(0) <= tolerance).sum()
    return float(near) / sum(distances.shape)


@settings(unhurried, max_examples=60)
@given(
    masks(min_dims=2, max_dims=3, min_side=2, max_side=7),
    st.sampled_from([0.3, 1.1, 2.3]),
    st.permutations([0.5, 1.0, 3.0]),
)
def test_nsd_agrees_with_distances_between_surfaces(
    pair: list[np.ndarray], tolerance: float, spacing: list[float]
) -> None:
    prediction, truth = pair
    assume(prediction.any() and truth.any())
    size = tuple(spacing[: truth.ndim])
    expected = surface_dice(prediction, truth, tolerance, size)
    assert nsd(prediction, truth, tolerance, size) == pytest.approx(expected)


def test_nsd_respects_the_order_of_the_axes() -> None:
    thick, moved = square(2, 2), square(3, 2)  # moved down by one row
    assert nsd(moved, thick, 1.0, (1.0, 5.0)) == 1
    assert nsd(moved, thick, 1.0, (5.0, 1.0)) < 1


def test_nsd_takes_views_of_volumes() -> None:
    mask = np.stack([square(2, 2), square(3, 3)])
    flipped = mask[:, ::-1].transpose(2, 0, 1)
    assert nsd(flipped, flipped, 1.0, (1.0, 1.0, 1.0)) == 1


@pytest.mark.parametrize(
    ("ious", "clicks"),
    [
        ([0.9], 1),
        ([0.2, 0.85], 2),
        ([0.2, 0.9, 0.1], 2),
        ([0.1, 0.2], 20),
        ([], 20),
        ([0.1] * 25 + [0.9], 20),
    ],
)
def test_noc(ious: list[float], clicks: int) -> None:
    assert noc(ious, 0.85, 20) == clicks


def test_entity_f1_by_hand() -> None:
    hit, near, miss = (
        (square(2, 2), square(2, 2)),
        (square(2, 2), square(2, 4)),
        (EMPTY, FULL),
    )
    invented, agreed = (FULL, EMPTY), (EMPTY, EMPTY)
    assert entity_f1([hit]) == entity_f1([agreed]) == entity_f1([]) == 1
    assert entity_f1([miss]) == entity_f1([invented]) == entity_f1([near]) == 0
    # one found, one spurious and missed (near), one missed
    assert entity_f1([hit, near, miss, agreed]) == pytest.approx(2 / (2 + 1 + 2))
    assert entity_f1([hit, near], threshold=0.3) == 1
    assert entity_f1(pair for pair in [hit, invented]) == pytest.approx(2 / 3)


def test_entity_f1_threshold_is_inclusive() -> None:
    prediction, truth = square(2, 2), square(2, 4)
    assert entity_f1([(prediction, truth)], threshold=8 / 24) == 1
