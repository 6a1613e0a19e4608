"""The numbers that decide a propagation, in one place and with their units."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PropagationSettings:
    """When the agent is asked, and when a carried mask is trusted.

    Attributes:
        key_mm: Distance in mm between the slices that the search begins with.
        finest_mm: Distance in mm down to which a target is looked for that none of them shows.
        absences: Slices in a row on which the agent must see nothing before the target counts
            as ended there.
        clicks: Most clicks, one call of the tool each, to bring the tool to the expected mask.
        enough: IoU with the expected mask from which no further click is derived.
        min_agreement: Least IoU of the tool's mask with the expected one.
        min_overlap: Least IoU of a mask with that of the slice beside it, where slices are 3 mm
            apart; see `ibisagent.propagation.agreement.least_overlap`.
        min_score: Least score of the tool, in [0, 1].
        min_score_share: Least score, as a share of the lower one of both key slices.
        max_area_ratio: How much larger than the larger of both key slices' masks, or smaller
            than the smaller one, a mask may be.
        usable: IoU with the expected mask from which a doubted mask still speaks for the
            target: the agent starts from the expected mask, and not afresh.
    """

    key_mm: float = 24.0
    finest_mm: float = 6.0
    absences: int = 2
    clicks: int = 4
    enough: float = 0.85
    min_agreement: float = 0.7
    min_overlap: float = 0.6
    min_score: float = 0.3
    min_score_share: float = 0.75
    max_area_ratio: float = 1.5
    usable: float = 0.5
