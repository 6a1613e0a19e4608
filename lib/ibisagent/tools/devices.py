"""Where a model runs."""

from __future__ import annotations

import torch

from ibisagent.errors import DeviceUnavailable


def resolve(device: str = "auto") -> torch.device:
    """The device that a configuration names.

    Args:
        device: "auto" (the first GPU, else the processor), or a name that torch knows, such as
            "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        DeviceUnavailable: The name is unknown, or the machine has no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DeviceUnavailable(
            f"The device '{device}' is not available here.",
            "Choose 'auto' or 'cpu', or install a torch build that supports the device.",
        ) from error
    return found
