"""Factors that tune the encoder."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ibisagent.tools.litemedsam_net import LiteMedSAMNet
from ibistrain.clicks.low_rank import factors, set_factors, tune


def layers() -> nn.Sequential:
    """A linear layer, convolutions of one group and of many, and no stem."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 4), nn.Conv2d(2, 6, 3), nn.Conv2d(6, 6, 3, groups=6), nn.BatchNorm2d(6)
    )


def test_only_layers_that_mix_channels_are_tuned_and_nothing_else_is_learnt() -> None:
    net = layers()
    tune(net, 2)
    assert set(factors(net)) == {"0.up", "0.down", "1.up", "1.down"}
    learnt = {name for name, weight in net.named_parameters() if weight.requires_grad}
    assert {name.split(".")[0] for name in learnt} == {"0", "1"}
    assert all(name.endswith(("up", "down")) for name in learnt)


def test_to_begin_with_the_weights_are_what_they_were() -> None:
    net, same = layers(), layers()
    tune(net, 2)
    assert torch.equal(net[0].weight, same[0].weight)
    assert torch.equal(net[1].weight, same[1].weight)


def test_factors_are_added_and_come_back() -> None:
    net, other = layers(), layers()
    tune(net, 2)
    tune(other, 2)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name.endswith("up"):
                weight.normal_()
    given = factors(net)
    for number in (0, 1):
        product = given[f"{number}.up"] @ given[f"{number}.down"]
        weight = layers()[number].weight
        assert torch.allclose(net[number].weight, weight + product.view_as(weight))
    set_factors(other, given)
    assert torch.equal(net[1].weight, other[1].weight)
    with pytest.raises(KeyError):
        set_factors(other, {})


def test_the_stem_of_the_real_encoder_stays_and_the_rest_learns(net: LiteMedSAMNet) -> None:
    encoder = net.image_encoder
    tune(encoder, 2)
    assert not any(name.startswith(("patch_embed", "layers.0.")) for name in factors(encoder))
    assert {"neck.0.up", "layers.1.blocks.0.attn.qkv.up", "layers.1.blocks.0.mlp.fc2.down"} <= set(
        factors(encoder)
    )
    encoder(torch.rand(1, 3, 256, 256)).square().sum().backward()
    for name, weight in encoder.named_parameters():
        assert weight.requires_grad == (weight.grad is not None), name
