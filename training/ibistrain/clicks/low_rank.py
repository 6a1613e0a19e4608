"""Factors of low rank that tune LiteMedSAM's image encoder (LoRA, Hu et al., arXiv 2106.09685).

A layer's weight becomes W + U D. Weights are small beside what flows through them, so the sum is
made once a step, which costs less than running the factors beside each layer; and what the
package reads (`ibisagent.tools.click_weights`) is the same sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

RANK = 16
STEM = ("patch_embed.", "layers.0.")
"""Layers at the picture's full resolution stay as they are: gradients there would take as much
memory and time as all others together."""


class LowRank(nn.Module):
    """What is added to a weight.

    Args:
        weight: Axes (output, ...); a product of no effect is added to begin with.
        rank: Of the sum.

    Attributes:
        up: Axes (output, rank).
        down: Axes (rank, all other axes of the weight in one).
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        inputs = weight[0].numel()
        down = torch.randn(rank, inputs) * inputs**-0.5  # the same numbers on every device
        self.up = nn.Parameter(weight.new_zeros(len(weight), rank))
        self.down = nn.Parameter(down.to(weight))

    def forward(self, weight: Tensor) -> Tensor:
        """The tuned weight."""
        return weight + (self.up @ self.down).view_as(weight)


def tune(encoder: nn.Module, rank: int = RANK) -> None:
    """Give an image encoder factors to learn; nothing else of it is learnt.

    Args:
        encoder: Changed in place.
        rank: Of each layer's factors.
    """
    encoder.requires_grad_(False)
    for name, layer in list(encoder.named_modules()):
        if not name.startswith(STEM) and _mixes_channels(layer):
            weight: Tensor = layer.get_parameter("weight")
            parametrize.register_parametrization(layer, "weight", LowRank(weight, rank))


def factors(encoder: nn.Module) -> dict[str, Tensor]:
    """The factors of a tuned encoder, as ``layer.up`` and ``layer.down``."""
    return {
        f"{name}.{side}": getattr(one, side).detach()
        for name, one in _tuned(encoder)
        for side in ("up", "down")
    }


def set_factors(encoder: nn.Module, given: Mapping[str, Tensor]) -> None:
    """Begin with the factors of an earlier run.

    Args:
        encoder: Tuned, with factors of the same rank; changed in place.
        given: From `factors`.
    """
    with torch.no_grad():
        for name, one in _tuned(encoder):
            one.up.copy_(given[f"{name}.up"])
            one.down.copy_(given[f"{name}.down"])


def _mixes_channels(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)


def _tuned(encoder: nn.Module) -> Iterator[tuple[str, LowRank]]:
    for name, layer in encoder.named_modules():
        if parametrize.is_parametrized(layer, "weight"):
            parts: Any = layer.parametrizations
            yield name, parts["weight"][0]
