"""The first mask of SAM's decoder, and no other: the same numbers in less time on a processor.

The decoder makes four masks and we want one. Its upscaling, two transposed convolutions whose steps
are as long as their kernels, is here what it amounts to: each pixel becomes 2 x 2 by one product of
matrices, with channels beside each other in memory all the way, and pixels are put in their places
only when one number is left of each.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def one_mask(
    decoder: Any, embeddings: Tensor, where: Tensor, sparse: Tensor, dense: Tensor
) -> tuple[Tensor, Tensor]:
    """What `decoder` gives with `multimask_output=False`, up to rounding.

    Args:
        decoder: SAM's mask decoder (Kirillov et al., arXiv 2304.02643, appendix A).
        embeddings: Of the images, axes (prompt or 1, channel, row, column).
        where: Positional encoding of the same places, axes (1, channel, row, column).
        sparse: Embeddings of clicks or boxes, axes (prompt, token, channel).
        dense: Embeddings of masks, axes (prompt, channel, row, column).

    Returns:
        Logits, axes (prompt, row, column), four times as large as the embeddings on each side;
        predicted IoU, axis (prompt).
    """
    count, (height, width) = len(sparse), embeddings.shape[2:]
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([own.expand(count, -1, -1), sparse], 1)
    places = where.expand(count, -1, -1, -1)
    read, pixels = decoder.transformer(embeddings + dense, places, tokens)
    kernel = decoder.output_hypernetworks_mlps[0](read[:, 1])
    values = _upscaled(decoder.output_upscaling, pixels) @ kernel[:, None, None, :, None]
    # A pixel's number is made of its row and column, and of those in the squares it came from.
    values = values.view(count, height, width, 2, 2, 2, 2)
    logits = values.permute(0, 1, 3, 5, 2, 4, 6).reshape(count, 4 * height, 4 * width)
    return logits, decoder.iou_prediction_head(read[:, 0])[:, 0]


def _upscaled(layers: Any, pixels: Tensor) -> Tensor:
    """Pixels four times as dense on each side.

    Args:
        layers: The decoder's: convolution, norm, activation, convolution, activation.
        pixels: Axes (prompt, pixel, channel).

    Returns:
        Axes (prompt, pixel, quarter, quarter of a quarter, channel).
    """
    first, norm, activation, second, last = layers
    quarters = _quartered(first, pixels)
    size, scale = [quarters.shape[-1]], norm.weight
    quarters = functional.layer_norm(quarters, size, scale, norm.bias, norm.eps)
    finest: Tensor = last(_quartered(second, activation(quarters)))
    return finest


def _quartered(layer: nn.ConvTranspose2d, pixels: Tensor) -> Tensor:
    """A transposed convolution of kernel and step 2: channels last, before them the quarter."""
    inputs, outputs = layer.weight.shape[:2]
    matrix = layer.weight.permute(2, 3, 1, 0).reshape(4 * outputs, inputs)
    bias = None if layer.bias is None else layer.bias.repeat(4)
    quarters: Tensor = functional.linear(pixels, matrix, bias)
    return quarters.reshape(*quarters.shape[:-1], 4, outputs)
