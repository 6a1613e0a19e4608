from __future__ import annotations

import pytest
import torch

from ibisagent.tools.half_precision import half_precision


def test_a_cpu_computes_as_ever() -> None:
    one = torch.ones(2, 2)
    with half_precision(torch.device("cpu")):
        assert (one @ one).dtype == torch.float32


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_a_gpu_computes_in_bfloat16() -> None:
    with half_precision(torch.device("cuda", 0)):  # enabled by name; nothing runs on it
        assert torch.get_autocast_dtype("cuda") == torch.bfloat16
