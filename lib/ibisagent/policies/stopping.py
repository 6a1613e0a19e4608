"""Lets a person cancel while a reply is being written."""

from __future__ import annotations

from typing import Any

import torch
from transformers import StoppingCriteria

from ibisagent.policies.base import Cancelled


class StopWhenCancelled(StoppingCriteria):
    """Ends generation at the next token once `cancelled` says so.

    Args:
        cancelled: Read once a token.
    """

    def __init__(self, cancelled: Cancelled) -> None:
        self._cancelled = cancelled

    def __call__(
        self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any
    ) -> torch.BoolTensor:
        """One flag a reply of the batch."""
        stop = torch.full((len(input_ids),), self._cancelled(), dtype=torch.bool)
        return stop.to(input_ids.device)  # type: ignore[return-value]
