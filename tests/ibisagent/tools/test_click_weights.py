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


def encoder() -> nn.ModuleDict:
    torch.manual_seed(2)
    return nn.ModuleDict({"linear": nn.Linear(5, 6), "conv": nn.Conv2d(2, 4, 3)})


def factors() -> dict[str, torch.Tensor]:
    """Of rank 2, for both layers of `encoder`."""
    torch.manual_seed(3)
    sizes = {"linear": (6, 5), "conv": (4, 2 * 3 * 3)}
    ups = {f"image_encoder.{name}.up": torch.randn(n, 2) for name, (n, _) in sizes.items()}
    downs = {f"image_encoder.{name}.down": torch.randn(2, n) for name, (_, n) in sizes.items()}
    return ups | downs


def read(path: Path, into: nn.ModuleDict, image_encoder: nn.Module) -> bool:
    return read_click_weights(path, into["prompt_encoder"], into["mask_decoder"], image_encoder)


def test_weights_come_back(tmp_path: Path) -> None:
    written, found, untouched = parts(0), parts(1), encoder()
    write_click_weights(tmp_path / "w.safetensors", dict(written.state_dict()))
    assert not read(tmp_path / "w.safetensors", found, untouched)
    for name, value in written.state_dict().items():
        assert torch.allclose(found.state_dict()[name], value, atol=1e-3)
    for name, value in encoder().state_dict().items():
        assert torch.equal(untouched.state_dict()[name], value)


def test_products_of_factors_are_added_to_the_image_encoder(tmp_path: Path) -> None:
    given, tuned = factors(), encoder()
    write_click_weights(tmp_path / "w.safetensors", {**parts(0).state_dict(), **given})
    assert read(tmp_path / "w.safetensors", parts(1), tuned)
    for name, layer in encoder().items():
        product = given[f"image_encoder.{name}.up"] @ given[f"image_encoder.{name}.down"]
        expected = layer.weight + product.view_as(layer.weight)
        assert torch.allclose(tuned[name].weight, expected, atol=1e-2)
        assert torch.equal(tuned[name].bias, layer.bias)


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelNotFound, match=r"w\.safetensors"):
        read(path, parts(0), encoder())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    write_click_weights(tmp_path / "w.safetensors", {"prompt_encoder.weight": torch.zeros(3, 3)})
    with pytest.raises(ModelNotFound):
        read(tmp_path / "w.safetensors", parts(0), encoder())


@pytest.mark.parametrize(
    "change",
    [
        {"image_encoder.linear.down": torch.zeros(3, 5)},
        {"image_encoder.linear.up": torch.zeros(7, 2)},
        {"image_encoder.other.up": torch.zeros(6, 2)},
        {
            "image_encoder.other.up": torch.zeros(6, 2),
            "image_encoder.other.down": torch.zeros(2, 5),
        },
    ],
)
def test_factors_of_another_network_are_refused(
    tmp_path: Path, change: dict[str, torch.Tensor]
) -> None:
    weights = {**parts(0).state_dict(), **factors(), **change}
    write_click_weights(tmp_path / "w.safetensors", weights)
    with pytest.raises(ModelNotFound):
        read(tmp_path / "w.safetensors", parts(0), encoder())


def test_the_package_has_its_weights_and_they_are_small() -> None:
    assert EMBEDDED.stat().st_size <= 10 * 2**20
