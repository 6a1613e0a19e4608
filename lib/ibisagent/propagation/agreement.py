"""Whether a mask that was carried to a slice may be trusted."""

from __future__ import annotations

from dataclasses import dataclass

from ibisagent.metrics import iou
from ibisagent.propagation.carry import Carried
from ibisagent.propagation.settings import PropagationSettings
from ibisagent.tools.base import Mask

REFERENCE_MM = 3.0
"""Distance of slices for which `PropagationSettings.min_overlap` is stated."""

STRICTEST, LAXEST = 0.85, 0.2
"""Bounds of the least overlap: pixels are not infinitely small, and some likeness must stay."""


@dataclass(frozen=True, eq=False)
class Standing:
    """The mask of a slice that is settled, as a source for its neighbours.

    Attributes:
        mask: Axes (row, column), not empty.
        away: Slices it was carried over; 0 where agent or person made it.
        key_score: The tool's score on the key slice it comes from; None for a person's mask.
        key_area: Pixels of the mask there.
    """

    mask: Mask
    away: int
    key_score: float | None
    key_area: int


def least_overlap(slice_mm: float, settings: PropagationSettings) -> float:
    """Least IoU of the masks of two neighbouring slices.

    Each step takes its share of the overlap, so that it falls with distance as a power: where
    0.6 is asked at 3 mm, it is 0.84 at 1 mm and 0.43 at 5 mm.

    Args:
        slice_mm: Distance between neighbouring slices in mm.
        settings: `min_overlap` of them.
    """
    overlap = float(settings.min_overlap ** (slice_mm / REFERENCE_MM))
    return min(max(overlap, LAXEST), STRICTEST)


def doubt(
    carried: Carried,
    near: Standing,
    far: Standing,
    slice_mm: float,
    settings: PropagationSettings,
) -> str:
    """Why a carried mask is not to be trusted.

    Args:
        carried: The mask.
        near: The neighbour it was carried from.
        far: The slice on the other side.
        slice_mm: Distance between neighbouring slices in mm.
        settings: The thresholds.

    Returns:
        A sentence with the figures; empty for a mask that may be trusted.
    """
    mask, score = carried.segmentation.mask, carried.segmentation.score
    if carried.agreement < settings.min_agreement:
        least = settings.min_agreement
        return f"IoU with the expected mask {carried.agreement:.2f}, below {least:.2f}."
    overlap, least = iou(mask, near.mask), least_overlap(slice_mm, settings)
    if overlap < least:
        return f"IoU with the neighbouring slice {overlap:.2f}, below {least:.2f}."
    least = max(settings.min_score, settings.min_score_share * (near.key_score or 0.0))
    if score < least:
        return f"The tool's score {score:.2f}, below {least:.2f}."
    areas, ratio = sorted((near.key_area, far.key_area)), settings.max_area_ratio
    area = int(mask.sum())
    if not areas[0] / ratio <= area <= areas[1] * ratio:
        return f"{area} pixels, on the key slices {areas[0]} and {areas[1]}."
    return ""
