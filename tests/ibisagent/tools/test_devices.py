"""Device names resolve, or fail with a fix."""

from __future__ import annotations

import pytest
import torch

from ibisagent.errors import DeviceUnavailable
from ibisagent.tools.devices import resolve


def test_cpu_is_always_there() -> None:
    assert resolve("cpu") == torch.device("cpu")


def test_auto_takes_the_gpu_if_there_is_one() -> None:
    assert resolve("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["cuda:99", "toaster", "", "mps:7"])
def test_an_absent_device_says_what_to_choose(name: str) -> None:
    with pytest.raises(DeviceUnavailable, match="'cpu'"):
        resolve(name)
