"""Clicks and masks so far as they are fed to the model, for many masks at once.

The same as `ibisagent.tools.click_prompt` and `ibisagent.tools.click_merge` do for one mask.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ibisagent.tools.click_prompt import DRAWN, RADIUS
from ibisagent.tools.square_frame import CERTAIN
from ibistrain.batches.depth import connected
from ibistrain.clicks.clicking import Clicks


def as_logits(masks: Tensor) -> Tensor:
    """Logits that say what masks of the same axes say."""
    return torch.where(masks, CERTAIN, -CERTAIN)


def with_discs(discs: Tensor, clicks: Clicks) -> Tensor:
    """Discs of earlier clicks, and of the newest ones over them.

    Args:
        discs: 1 in positive ones, -1 in negative ones, 0 elsewhere; axes (mask, row, column).
        clicks: One a mask.
    """
    rows = torch.arange(discs.shape[1], device=discs.device) - clicks.places[:, :1]
    columns = torch.arange(discs.shape[2], device=discs.device) - clicks.places[:, 1:]
    near = (rows**2)[:, :, None] + (columns**2)[:, None, :] <= RADIUS**2
    signs = torch.where(clicks.positive, 1, -1).to(discs.dtype)
    return torch.where(near, signs[:, None, None], discs)


def with_clicks(logits: Tensor, discs: Tensor) -> Tensor:
    """Logits of the masks so far, with each click drawn into them; see `click_prompt`."""
    drawn = torch.where(discs > 0, DRAWN, logits.clamp(-CERTAIN, CERTAIN))
    return torch.where(discs < 0, -DRAWN, drawn)


def merged(before: Tensor, after: Tensor, clicks: Clicks) -> Tensor:
    """Logits after clicks that correct masks; see `ibisagent.tools.click_merge.merge`.

    Args:
        before: Of the masks that were clicked at, axes (mask, row, column).
        after: Of the redrawn masks.
        clicks: The newest ones.
    """
    empty = ~(before > 0).any(2, keepdim=True).any(1, keepdim=True)
    changed = ((before > 0) != (after > 0)) & ~empty
    part = connected(changed, clicks.places)
    return torch.where(part | empty, after, before)
