"""Whether a mask that was carried to a slice may be trusted."""

from __future__ import annotations

from ibisagent.metrics import iou
from ibisagent.propagation.carry import Carried
from ibisagent.propagation.ledger import Key
from ibisagent.propagation.settings import PropagationSettings
from ibisagent.tools.base import Mask

REFERENCE_MM = 3.0
"""Distance of slices for which `PropagationSettings.min_overlap` is stated."""

STRICTEST, LAXEST = 0.85, 0.2
"""Bounds of the least overlap: pixels are not infinitely small, and some likeness must stay."""


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
    neighbour: Mask,
    keys: tuple[Key, Key],
    slice_mm: float,
    settings: PropagationSettings,
) -> str:
    """Why a carried mask is not to be trusted.

    Args:
        carried: The mask.
        neighbour: That of the settled slice beside it.
        keys: The key slices below and above.
        slice_mm: Distance between neighbouring slices in mm.
        settings: The thresholds.

    Returns:
        A sentence with the figures; empty for a mask that may be trusted.
    """
    if carried.agreement < settings.min_agreement:
        least = settings.min_agreement
        return f"IoU of tool and expected mask {carried.agreement:.2f}, below {least:.2f}."
    overlap, least = iou(carried.mask, neighbour), least_overlap(slice_mm, settings)
    if overlap < least:
        return f"IoU with the neighbouring slice {overlap:.2f}, below {least:.2f}."
    score, least = carried.segmentation.score, _least_score(keys, settings)
    if score < least:
        return f"The tool's score {score:.2f}, below {least:.2f}."
    areas, ratio = sorted(key.area for key in keys), settings.max_area_ratio
    area = int(carried.mask.sum())
    if not areas[0] / ratio <= area <= areas[1] * ratio:
        return f"{area} pixels, on the key slices {areas[0]} and {areas[1]}."
    return ""


def _least_score(keys: tuple[Key, Key], settings: PropagationSettings) -> float:
    known = [key.score for key in keys if key.score is not None]
    return max(settings.min_score, settings.min_score_share * min(known, default=0.0))
