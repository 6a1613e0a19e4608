"""An image encoder in the form in which a processor computes it fastest: the same numbers sooner.

Batch normalisation, which is a factor and a summand once training is over, is folded into the
convolution before it, and channels lie beside each other in memory, as convolution kernels like it.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(encoder: nn.Module) -> nn.Module:
    """A copy of an encoder that computes the same, up to rounding.

    Args:
        encoder: In evaluation mode; not changed.
    """
    copied = copy.deepcopy(encoder)
    _fold(copied)
    return copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _fold(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        match list(child.children()):
            case [nn.Conv2d() as convolution, nn.BatchNorm2d() as norm]:
                setattr(module, name, fuse_conv_bn_eval(convolution, norm))
            case _:
                _fold(child)
