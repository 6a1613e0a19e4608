"""A folded encoder computes what the encoder computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ibisagent.tools.folded_encoder import folded
from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet


def _norms(module: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


def test_the_real_encoder_gives_the_same_embedding_without_its_norms() -> None:
    encoder = LiteMedSAMNet("cpu").image_encoder
    before = _norms(encoder)
    fast = folded(encoder)
    image = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(fast(image), encoder(image), atol=1e-4)
    assert _norms(fast) == 0
    assert _norms(encoder) == before > 0


def test_convolutions_with_statistics_of_their_own_are_folded_one_by_one() -> None:
    torch.manual_seed(0)
    layers = [
        nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)),
        nn.ReLU(),
        nn.Sequential(nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.BatchNorm2d(4)),
    ]
    net = nn.Sequential(*layers).train()
    net(torch.randn(8, 3, 12, 12) + 2)  # gives the norms statistics that are not their first ones
    net.eval()
    image = torch.randn(2, 3, 12, 12)
    assert torch.allclose(folded(net)(image), net(image), atol=1e-5)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_activations_are_the_same_and_take_no_memory(approximate: str) -> None:
    net = nn.Sequential(nn.Identity(), nn.GELU(approximate))
    values = torch.linspace(-5, 5, 1001)
    expected = net(values)
    with torch.inference_mode():
        found = folded(net)(values)
    assert torch.equal(found, expected)
    assert found.data_ptr() == values.data_ptr()
    assert isinstance(net[1], nn.GELU)


def test_a_norm_that_follows_no_convolution_stays() -> None:
    net = nn.Sequential(nn.Sequential(nn.Identity(), nn.BatchNorm2d(2))).eval()
    assert _norms(folded(net)) == 1
