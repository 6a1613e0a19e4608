"""SAM 2, SAM 2.1 and MedSAM2, through the classes of transformers.

Transformers is the better kept of the two ways: it is released every few weeks by its makers and
is a dependency already, while the package `sam2` of the index is somebody's copy of a repository
that has no release, brings hydra along and needs the name of a configuration file.

The click protocol is that of the published IBISAgent code (arXiv 2601.03054), which ran
SAM2-hiera-large: all clicks so far are point prompts, three masks are predicted, the one with the
best predicted IoU is taken, and its low-resolution logits are the mask prompt of the next turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ibisagent.actions import Click
from ibisagent.tools.ahead import EmbedsAhead, usual_at_once
from ibisagent.tools.arguments import require_prompt, require_rgb
from ibisagent.tools.base import RGB, Segmentation
from ibisagent.tools.embedding_cache import EmbeddingCache
from ibisagent.tools.half_precision import half_precision
from ibisagent.tools.out_of_memory import out_of_memory_named
from ibisagent.tools.sam2_checkpoint import load_file, load_folder
from ibisagent.tools.square_frame import CERTAIN
from ibisagent.tools.weights import FILE_SUFFIXES
from ibisagent.torch_device import resolve_device

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of red, green and blue in [0, 1], as all these checkpoints were trained with."""

SIDE = 1024
MEDSAM2_SIDE = 512
LOGIT_LIMIT = 32.0
"""The original predictor gives no larger logits back as mask prompt."""


class Sam2(EmbedsAhead):
    """A SAM 2, SAM 2.1 or MedSAM2 checkpoint as a tool. Safe to share between threads.

    Args:
        where: A folder as on the model hub, a hub name (``owner/model@revision``), or a ``.pt``
            file of the original repository.
        device: "auto", "cpu", "cuda", ...
        family: "sam2", or "medsam2", whose files were trained on 512 pixels instead of 1024.

    Raises:
        ModelNotFound: The checkpoint is missing, unreadable, or of another model.
        DeviceUnavailable: The machine has no such device.
    """

    def __init__(self, where: str, device: str = "auto", family: str = "sam2") -> None:
        self._device = resolve_device(device)
        if where.endswith(FILE_SUFFIXES):
            net = load_file(Path(where), MEDSAM2_SIDE if family == "medsam2" else SIDE)
            label = Path(where).stem
        else:
            net, label = load_folder(where)
        self._net: Any = net.eval().requires_grad_(False)
        self._net.to(self._device)
        self._name = f"{family}:{label}"
        self._side = int(self._net.config.prompt_encoder_config.image_size)
        self._cache = EmbeddingCache(at_once=usual_at_once(self._device))

    @property
    def name(self) -> str:
        """Family and checkpoint, without the folder it lies in."""
        return self._name

    def set_image(self, rgb: RGB) -> PreparedForSam2:
        """See `SegmentationTool.set_image`.

        Raises:
            UnsupportedImage: Not an 8-bit colour picture.
            ToolOutOfMemory: The device has no room for this image.
        """
        require_rgb(rgb)
        with out_of_memory_named(self.name):
            embedding = self._cache.get(rgb, self._embed)
        return PreparedForSam2(self, (rgb.shape[0], rgb.shape[1]), embedding)

    def _embed(self, rgb: RGB) -> Tensor:
        """The three maps of features one after the other, as one row for the cache."""
        return self._embed_many([rgb])[0]

    @torch.inference_mode()
    def _embed_many(self, pictures: Sequence[RGB]) -> list[Tensor]:
        """One embedding a picture, made in one call of the encoder."""
        squares = torch.cat([self._square(rgb) for rgb in pictures])
        with half_precision(self._device):
            maps: list[Tensor] = self._net.get_image_embeddings(squares)
        return [
            torch.cat([each[n].float().flatten() for each in maps]) for n in range(len(squares))
        ]

    def _square(self, rgb: RGB) -> Tensor:
        """What the encoder sees of a picture, axes (1, channel, row, column)."""
        image = torch.tensor(rgb, device=self._device).permute(2, 0, 1)[None].float() / 255
        # Unlike its predecessor, SAM 2 sees the image stretched to a square.
        square = functional.interpolate(
            image, (self._side, self._side), mode="bilinear", antialias=True
        )
        mean, deviation = (torch.tensor(v, device=self._device) for v in (MEAN, DEVIATION))
        return (square - mean[:, None, None]) / deviation[:, None, None]

    @torch.inference_mode()
    def decode(
        self,
        embedding: Tensor,
        clicks: Sequence[Click],
        size: tuple[int, int],
        prior: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Best of three masks.

        Args:
            embedding: From `_embed`.
            clicks: All clicks.
            size: The image's (height, width).
            prior: Low-resolution logits, axes (row, column) of the decoder's square, or None.

        Returns:
            Logits in the image's pixels, axes (row, column); their low-resolution form, in the
            decoder's square; predicted IoU.
        """
        points, labels = self._points(clicks, size)
        found = self._net(
            image_embeddings=self._maps(embedding),
            input_points=points,
            input_labels=labels,
            input_masks=None if prior is None else prior.to(self._device)[None, None],
            multimask_output=True,
        )
        quality = found.iou_scores[0, 0]
        best = int(quality.argmax())
        low = found.pred_masks[0, 0, best]
        full = functional.interpolate(low[None, None], size, mode="bilinear", align_corners=False)
        return full[0, 0], low.clamp(-LOGIT_LIMIT, LOGIT_LIMIT), quality[best]

    def _maps(self, embedding: Tensor) -> list[Tensor]:
        """Maps of features, axes (1, channel, row, column), finest first."""
        width = int(self._net.hidden_dim)
        sizes = [tuple(size) for size in self._net.backbone_feature_sizes]
        shapes = [
            (1, c, *size) for c, size in zip((width // 8, width // 4, width), sizes, strict=True)
        ]
        parts = embedding.split([int(np.prod(shape)) for shape in shapes])
        return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]

    def _points(self, clicks: Sequence[Click], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        rows_columns = torch.tensor([click.to_pixel(*size) for click in clicks])
        xy = (rows_columns * (self._side / torch.tensor(size))).flip(-1).to(self._device)
        labels = torch.tensor([int(click.positive) for click in clicks], device=self._device)
        return xy[None, None], labels[None, None]

    def prior_logits(self, prior: Segmentation) -> Tensor:
        """A mask prompt: the logits of the last turn, or those of a mask that a user drew."""
        if prior.logits is not None:
            return torch.from_numpy(prior.logits)
        drawn = torch.from_numpy(prior.mask.astype(np.float32))[None, None]
        square = self._net.prompt_encoder.mask_input_size
        small = functional.interpolate(drawn, square, mode="bilinear", antialias=True)
        return (small[0, 0] * 2 - 1) * CERTAIN


@dataclass(frozen=True)
class PreparedForSam2:
    """An image that SAM 2 has looked at; see `PreparedImage`.

    Attributes:
        tool: The tool that made the embedding.
        size: The image's (height, width).
        embedding: See `Sam2._embed`.
    """

    tool: Sam2
    size: tuple[int, int]
    embedding: Tensor

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        """See `PreparedImage.segment`.

        Raises:
            InvalidRequest: There is no click, or the prior has another size than the image.
            ToolOutOfMemory: The device has no room for this image.
        """
        require_prompt(clicks, prior, self.size)
        with out_of_memory_named(self.tool.name):
            drawn = None if prior is None or _says_nothing(prior) else self.tool.prior_logits(prior)
            full, low, quality = self.tool.decode(self.embedding, clicks, self.size, drawn)
        mask: NDArray[np.bool_] = (full > 0).cpu().numpy()
        return Segmentation(mask, float(quality.clamp(0, 1)), low.float().cpu().numpy())


def _says_nothing(prior: Segmentation) -> bool:
    """An empty starting mask is the absence of a prior, not the claim that nothing is there."""
    return prior.logits is None and not prior.mask.any()
