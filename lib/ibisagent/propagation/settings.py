"""The numbers that decide a propagation, in one place and with their units."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PropagationSettings:
    """When the agent is asked, and when a carried mask is trusted.

    The values were chosen on the volumes of ``docs/propagation.md``.

    Attributes:
        key_mm: Distance in mm between the slices that the search begins with.
        finest_mm: Distance in mm down to which a target is looked for that none of them shows.
        absences: Slices in a row on which the agent must see nothing before the target counts
            as ended there.
        clicks: Most clicks derived from a mask for its neighbour.
        min_overlap: Least IoU of a carried mask with its neighbour, at 3 mm between slices;
            `agreement.least_overlap` says what that means at other distances.
        min_score: Least score of the tool, in [0, 1].
        min_score_share: Least score as a share of the score on the key slice.
        max_area_ratio: How much larger than the larger of both key slices' masks, or smaller
            than the smaller one, a carried mask may be.
        min_agreement: Least IoU of the masks that reach a slice from both directions.
        usable: IoU from which a doubted mask is still a better start for the agent than none.
    """

    key_mm: float = 24.0
    finest_mm: float = 6.0
    absences: int = 2
    clicks: int = 4
    min_overlap: float = 0.6
    min_score: float = 0.3
    min_score_share: float = 0.75
    max_area_ratio: float = 1.5
    min_agreement: float = 0.7
    usable: float = 0.5
