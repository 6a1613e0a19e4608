"""Weights on disk: what is written is read, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from ibisagent.errors import ModelNotFound
from ibisagent.tools.click_weights import EMBEDDED, read_click_weights, write_click_weights


def parts(seed: int) -> nn.ModuleDict:
    torch.manual_seed(seed)
    return nn.ModuleDict({"prompt_encoder": nn.Linear(3, 4), "mask_decoder": nn.Linear(4, 2)})


def test_weights_come_back(tmp_path: Path) -> None:
    written, read = parts(0), parts(1)
    write_click_weights(tmp_path / "w.safetensors", dict(written.state_dict()))
    read_click_weights(tmp_path / "w.safetensors", read["prompt_encoder"], read["mask_decoder"])
    for name, value in written.state_dict().items():
        assert torch.allclose(read.state_dict()[name], value, atol=1e-3)


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelNotFound, match=r"w\.safetensors"):
        read_click_weights(path, nn.Linear(3, 4), nn.Linear(4, 2))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    write_click_weights(tmp_path / "w.safetensors", {"prompt_encoder.weight": torch.zeros(3, 3)})
    with pytest.raises(ModelNotFound):
        read_click_weights(tmp_path / "w.safetensors", nn.Linear(3, 4), nn.Linear(4, 2))


def test_the_package_has_its_weights_and_they_are_small() -> None:
    assert EMBEDDED.stat().st_size <= 10 * 2**20
