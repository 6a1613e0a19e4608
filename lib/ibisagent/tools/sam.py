"""Checkpoints of segment-anything: SAM itself, and MedSAM, which kept its form.

The click protocol is that of the published IBISAgent code (arXiv 2601.03054): all clicks so far
are point prompts, three masks are predicted, the one with the best predicted IoU is taken, and
its low-resolution logits are the mask prompt of the next turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import segment_anything
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ibisagent.actions import Click
from ibisagent.tools.ahead import EmbedsAhead, usual_at_once
from ibisagent.tools.arguments import require_prompt, require_rgb
from ibisagent.tools.base import RGB, Segmentation
from ibisagent.tools.checkpoint import fill, read_weights
from ibisagent.tools.embedding_cache import EmbeddingCache, one_by_one
from ibisagent.tools.half_precision import half_precision
from ibisagent.tools.out_of_memory import out_of_memory_named
from ibisagent.tools.square_frame import SquareFrame
from ibisagent.torch_device import resolve_device


class Sam(EmbedsAhead):
    """A SAM or MedSAM checkpoint as a segmentation tool. Safe to share between threads.

    Args:
        size: Form of the image encoder: "vit_b", "vit_l" or "vit_h".
        checkpoint: ``.pth`` file with the weights.
        device: "auto", "cpu", "cuda", ...
        family: "sam" or "medsam", for the name only.

    Raises:
        ModelNotFound: The file is missing, unreadable, or holds other weights.
        DeviceUnavailable: The machine has no such device.
    """

    def __init__(
        self, size: str, checkpoint: Path, device: str = "auto", family: str = "sam"
    ) -> None:
        self._device = resolve_device(device)
        state = read_weights(checkpoint)  # before the network, which takes seconds to build
        self._net = segment_anything.sam_model_registry[size]()
        fill(self._net, state, checkpoint)
        self._net.to(self._device).eval().requires_grad_(False)
        self._name = f"{family}:{size}:{checkpoint.stem}"
        self._cache = EmbeddingCache(at_once=usual_at_once(self._device))

    @property
    def name(self) -> str:
        """Family, form and checkpoint, without the folder it lies in."""
        return self._name

    def set_image(self, rgb: RGB) -> PreparedForSam:
        """See `SegmentationTool.set_image`.

        Raises:
            UnsupportedImage: Not an 8-bit colour picture.
            ToolOutOfMemory: The device has no room for this image.
        """
        require_rgb(rgb)
        frame = SquareFrame.of(rgb, self._net.image_encoder.img_size)
        with out_of_memory_named(self.name):
            return PreparedForSam(self, frame, self._cache.get(rgb, self._embed))

    def _embed(self, rgb: RGB) -> Tensor:
        """Image embedding, axes (1, channel, row, column)."""
        return self._embed_many([rgb])[0]

    @torch.inference_mode()
    def _embed_many(self, pictures: Sequence[RGB]) -> list[Tensor]:
        """One embedding a picture, made in one call of the encoder."""
        squares = torch.cat([self._square(rgb) for rgb in pictures])
        with half_precision(self._device):
            embeddings: Tensor = self._net.image_encoder(squares)
        return one_by_one(embeddings.float())

    def _square(self, rgb: RGB) -> Tensor:
        """What the encoder sees of a picture, axes (1, channel, row, column)."""
        height, width = SquareFrame.of(rgb, self._net.image_encoder.img_size).inner
        picture = np.array(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))
        image = torch.from_numpy(picture).to(self._device).permute(2, 0, 1)[None]
        square: Tensor = self._net.preprocess(image)
        return square

    @torch.inference_mode()
    def decode(
        self, embedding: Tensor, clicks: Sequence[Click], frame: SquareFrame, prior: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Best of three masks.

        Args:
            embedding: From `_embed`.
            clicks: All clicks.
            frame: Where the image lies in the encoder's square.
            prior: Low-resolution logits, axes (row, column) of the decoder's square, or None.

        Returns:
            Logits in the image's pixels, axes (row, column); their low-resolution form, in the
            decoder's square; predicted IoU.
        """
        sparse, dense = self._net.prompt_encoder(
            points=self._points(clicks, frame),
            boxes=None,
            masks=None if prior is None else prior.to(self._device)[None, None],
        )
        low, quality = self._net.mask_decoder(
            image_embeddings=embedding,
            image_pe=self._net.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        best = int(quality[0].argmax())
        chosen = low[:, best : best + 1]
        full = self._net.postprocess_masks(chosen, frame.inner, frame.size)
        return full[0, 0], chosen[0, 0], quality[0, best]

    def _points(self, clicks: Sequence[Click], frame: SquareFrame) -> tuple[Tensor, Tensor]:
        rows_columns = torch.tensor([click.to_pixel(*frame.size) for click in clicks])
        scale = torch.tensor(frame.inner) / torch.tensor(frame.size)
        xy = (rows_columns * scale).flip(-1).to(self._device)
        labels = torch.tensor([int(click.positive) for click in clicks], device=self._device)
        return xy[None], labels[None]

    def prior_logits(self, prior: Segmentation) -> Tensor:
        """A mask prompt: the logits of the last turn, or those of a mask that a user drew."""
        side = self._net.prompt_encoder.mask_input_size[0]
        if prior.logits is not None:
            return torch.from_numpy(prior.logits)
        height, width = prior.mask.shape
        drawn = torch.from_numpy(SquareFrame((height, width), side).logits_of(prior.mask))
        rows, columns = drawn.shape
        return functional.pad(drawn, (0, side - columns, 0, side - rows), value=float(drawn.min()))


@dataclass(frozen=True)
class PreparedForSam:
    """An image that SAM has looked at; see `PreparedImage`.

    Attributes:
        tool: The tool that made the embedding.
        frame: Where the image lies in the encoder's square.
        embedding: Axes (1, channel, row, column).
    """

    tool: Sam
    frame: SquareFrame
    embedding: Tensor

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        """See `PreparedImage.segment`.

        Raises:
            InvalidRequest: There is no click, or the prior has another size than the image.
            ToolOutOfMemory: The device has no room for this image.
        """
        require_prompt(clicks, prior, self.frame.size)
        with out_of_memory_named(self.tool.name):
            drawn = None if prior is None or _says_nothing(prior) else self.tool.prior_logits(prior)
            full, low, quality = self.tool.decode(self.embedding, clicks, self.frame, drawn)
        mask: NDArray[np.bool_] = (full > 0).cpu().numpy()
        return Segmentation(mask, float(quality.clamp(0, 1)), low.float().cpu().numpy())


def _says_nothing(prior: Segmentation) -> bool:
    """An empty starting mask is the absence of a prior, not the claim that nothing is there."""
    return prior.logits is None and not prior.mask.any()
