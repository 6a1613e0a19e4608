"""Which device torch should use."""

from __future__ import annotations

import torch

from ibisagent.errors import DeviceUnavailable


def resolve_device(name: str = "auto") -> torch.device:
    """Turn a device's name into a device that exists.

    Args:
        name: ``auto`` (the first GPU, else the CPU) or anything torch understands.

    Raises:
        DeviceUnavailable: The name is unknown or the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()  # back again: "meta" takes everything and keeps nothing
    except (RuntimeError, AssertionError, ImportError) as error:  # all are ways of "not there"
        raise DeviceUnavailable(
            f"The device {name!r} cannot be used: {str(error).splitlines()[0]}",
            "Use device 'cpu' or 'auto', or install a torch build for this machine's GPU.",
        ) from error
    return device
