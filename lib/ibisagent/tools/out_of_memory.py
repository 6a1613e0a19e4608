"""Names the many ways in which a model runs out of memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ibisagent.errors import ToolOutOfMemory

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory")
"""What torch writes on CUDA, on Linux and on Windows; only CUDA has a type of its own."""


@contextmanager
def out_of_memory_named(tool: str) -> Iterator[None]:
    """Turn out-of-memory errors of any device into `ToolOutOfMemory`; let others pass.

    Args:
        tool: Identity of the tool, for the message.

    Raises:
        ToolOutOfMemory: The block ran out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ToolOutOfMemory(
            f"The segmentation tool '{tool}' ran out of memory.",
            "Close other programs that use the device, choose device 'cpu', "
            "or use the tool 'embedded'.",
        ) from error


def is_out_of_memory(error: Exception) -> bool:
    """Whether Python or torch raised this for want of memory."""
    text = str(error).lower()
    of_a_type = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return of_a_type or any(sign in text for sign in _SIGNS)


def free_device_memory() -> None:
    """Give back what torch holds on to without using it."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
