"""The number format in which image encoders run."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def half_precision(device: torch.device) -> AbstractContextManager[object]:
    """Within it, models on a GPU compute in bfloat16.

    Meant for encoders, which are nearly all of a tool's work: it halves their memory.
    """
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()
