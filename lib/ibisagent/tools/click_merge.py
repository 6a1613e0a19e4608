"""A later click changes what hangs together with it, and nothing else.

Models redraw the whole mask at every click, and what was right may get lost on the way. Only the
connected region of the difference that holds the click is taken over (progressive merge, after
Chen et al., FocalClick, CVPR 2022, section 3.3).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ibisagent.tools.click_consistency import Logits, Point


def merge(before: Logits, after: Logits, click: Point) -> Logits:
    """Logits after a click that corrects a mask.

    Args:
        before: Of the mask that was clicked at, axes (row, column); taken over as they are where
            that mask is empty.
        after: Of the redrawn mask.
        click: The newest click, in their pixels.
    """
    if not (before > 0).any():
        return after
    changed, _ = ndimage.label((before > 0) != (after > 0))
    number = changed[click.pixel]
    if number == 0:  # the click found its pixel as it should be, or the model did not follow
        return before
    merged: Logits = np.where(changed == number, after, before)
    return merged
