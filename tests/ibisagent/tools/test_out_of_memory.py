"""Every way of running out of memory gets one name; other errors keep theirs."""

from __future__ import annotations

import pytest
import torch

from ibisagent.errors import ToolOutOfMemory
from ibisagent.tools.out_of_memory import out_of_memory_named


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 1.00 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."),
    ],
)
def test_out_of_memory_names_the_tool_and_a_fix(error: Exception) -> None:
    with pytest.raises(ToolOutOfMemory, match=r"'mine'.*device 'cpu'"), out_of_memory_named("mine"):
        raise error


def test_a_real_allocation_failure_is_recognised() -> None:
    with pytest.raises(ToolOutOfMemory), out_of_memory_named("mine"):
        torch.empty(2**60, dtype=torch.uint8)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("memory")])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, out_of_memory_named("mine"):
        raise error
    assert raised.value is error
