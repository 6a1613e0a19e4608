"""Device names: those that are there, and a sentence for those that are not."""

from __future__ import annotations

import pytest
import torch

from ibisagent.errors import DeviceUnavailable
from ibisagent.torch_device import resolve_device

HAS_GPU = torch.cuda.is_available()
NOTHING = ["", "gpu", "cuda:99", "cuda:-1", "cuda:x", "cpu:cpu", "CPU", "meta", "a" * 999]
NOTHING += ["hpu", "xla", "vulkan", "fpga", "ipu", "mtia", "privateuseone", "maia", "lazy"]


def test_cpu() -> None:
    assert resolve_device("cpu") == torch.device("cpu")


def test_auto_is_something_that_works() -> None:
    device = resolve_device()
    assert device.type == ("cuda" if HAS_GPU else "cpu")
    assert torch.ones(2, device=device).sum().item() == 2


@pytest.mark.skipif(HAS_GPU, reason="this machine has a GPU")
@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_no_gpu(name: str) -> None:
    with pytest.raises(DeviceUnavailable, match=f"'{name}' cannot be used") as caught:
        resolve_device(name)
    assert "'cpu'" in caught.value.fix


@pytest.mark.parametrize("name", NOTHING)
def test_names_of_nothing(name: str) -> None:
    with pytest.raises(DeviceUnavailable) as caught:
        resolve_device(name)
    assert "\n" not in caught.value.message


@pytest.mark.skipif(not HAS_GPU, reason="needs a GPU")
def test_gpu() -> None:
    assert resolve_device("cuda") == torch.device("cuda")
