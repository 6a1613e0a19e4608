"""The embedded tool: LiteMedSAM, taught to follow clicks.

Its image encoder is that of the installed package, which our weights may tune; prompt encoder and
mask decoder are ours, trained by ``ibistrain tool`` (see ``embedded/README.md`` beside this file).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ibisagent.actions import Click
from ibisagent.tools.ahead import EmbedsAhead, usual_at_once
from ibisagent.tools.arguments import require_prompt, require_rgb
from ibisagent.tools.base import RGB, Segmentation
from ibisagent.tools.click_consistency import Point, obey, obeys
from ibisagent.tools.click_merge import merge
from ibisagent.tools.click_prompt import blank, points_of, with_clicks
from ibisagent.tools.click_weights import EMBEDDED, read_click_weights
from ibisagent.tools.doubtful_click import DOUBTFUL, reconsider
from ibisagent.tools.embedding_cache import EmbeddingCache
from ibisagent.tools.folded_encoder import folded
from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet
from ibisagent.tools.out_of_memory import out_of_memory_named
from ibisagent.tools.square_frame import SquareFrame


class LiteMedSAM(EmbedsAhead):
    """LiteMedSAM as a segmentation tool. Safe to share between threads.

    Args:
        device: "auto", "cpu", "cuda", ...
        weights: As `read_click_weights` reads them; those of the package if not given.

    Raises:
        DeviceUnavailable: The machine has no such device.
        MissingPackage: The package with the image encoder is not installed.
        ModelNotFound: Weights are missing or do not fit.
    """

    def __init__(self, device: str = "auto", weights: Path = EMBEDDED) -> None:
        self._net = net = LiteMedSAMNet(device)
        tuned = read_click_weights(weights, net.prompt_encoder, net.mask_decoder, net.image_encoder)
        # A new number for all that changes masks: weights, or when boxes are asked.
        self._name = "clicks-5" if weights == EMBEDDED else f"{weights.stem}@{_digest(weights)}"
        net.image_encoder = folded(net.image_encoder)
        # An untrained decoder does not understand a tuned encoder.
        self._untrained = None if tuned else LiteMedSAMNet(device, net)
        self._cache = EmbeddingCache(at_once=usual_at_once(self._net.device))

    @property
    def name(self) -> str:
        """Model, and which weights follow clicks: of one's own, the file and a digest of it.

        Every run of ``ibistrain tool`` gives its file the same name, and an evaluation goes on
        only with the tool that it was begun with.
        """
        return f"litemedsam:{self._name}"

    def set_image(self, rgb: RGB) -> PreparedForClicks:
        """See `SegmentationTool.set_image`.

        Raises:
            UnsupportedImage: Not an 8-bit colour picture.
            ToolOutOfMemory: The device has no room for this image.
        """
        require_rgb(rgb)
        with out_of_memory_named(self.name):
            embedding = self._cache.get(rgb, self._embed)
        return PreparedForClicks(self, SquareFrame.of(rgb, SIDE), embedding)

    def _embed(self, rgb: RGB) -> Tensor:
        return self._net.embed(rgb)

    def _embed_many(self, pictures: Sequence[RGB]) -> list[Tensor]:
        return self._net.embed_many(pictures)

    @torch.inference_mode()
    def decode(
        self, embedding: Tensor, prior: NDArray[np.float32], clicks: Sequence[Point]
    ) -> tuple[NDArray[np.float32], float]:
        """The mask that clicks make of an earlier one.

        Args:
            embedding: Of the image.
            prior: Logits of the square, axes (row, column).
            clicks: All so far, in pixels of the square; at least one.

        Returns:
            Logits of the square, and the predicted IoU in [0, 1].
        """
        drawn = torch.from_numpy(with_clicks(prior, clicks))[None, None].to(self._net.device)
        points = points_of([clicks], self._net.device)
        sparse, dense = self._net.prompt_encoder(points=points, boxes=None, masks=drawn)
        logits, quality = self._net.decode(embedding, sparse, dense)
        return logits[0].numpy(), float(quality[0].clamp(0, 1))

    def reconsider(
        self,
        embedding: Tensor,
        inner: tuple[int, int],
        click: Point,
        doubtful: tuple[NDArray[np.float32], float],
    ) -> tuple[NDArray[np.float32], float]:
        """See `ibisagent.tools.doubtful_click.reconsider`; a tuned encoder allows none."""
        if self._untrained is None:
            return doubtful
        return reconsider(self._untrained, embedding, inner, click, doubtful)


@dataclass(frozen=True)
class PreparedForClicks:
    """An image that LiteMedSAM has looked at; see `PreparedImage`.

    Attributes:
        tool: The tool that made the embedding.
        frame: Where the image lies in the model's square.
        embedding: Axes (1, channel, row, column).
    """

    tool: LiteMedSAM
    frame: SquareFrame
    embedding: Tensor

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        """See `PreparedImage.segment`.

        The clicks are taken one after the other, which gives what an episode of these clicks
        gives; the model is asked only for those that the mask contradicts. A mask from outside
        that no click contradicts is redrawn as a whole.

        Raises:
            InvalidRequest: There is no click, or the prior has another size than the image.
            ToolOutOfMemory: The device has no room for this image.
        """
        require_prompt(clicks, prior, self.frame.size)
        points = _effective([Point(*self.frame.pixel(c), c.positive) for c in clicks])
        logits, score = self._square(prior), prior.score if prior else 0.0
        asked = False
        with out_of_memory_named(self.tool.name):
            for n, point in enumerate(points, start=1):
                if not obeys(logits > 0, point):
                    after, score = self._decode(logits, points[:n])
                    if score < DOUBTFUL and point.positive and not (logits > 0).any():
                        after, score = self.tool.reconsider(
                            self.embedding, self.frame.inner, point, (after, score)
                        )
                    logits, asked = merge(logits, after, point), True
            if not asked and prior is not None and prior.logits is None:
                logits, score = self._decode(logits, points)
        return self._finished(logits, score, clicks)

    def _decode(
        self, logits: NDArray[np.float32], points: Sequence[Point]
    ) -> tuple[NDArray[np.float32], float]:
        after, score = self.tool.decode(self.embedding, logits, points)
        return self._padded(after), score

    def _square(self, prior: Segmentation | None) -> NDArray[np.float32]:
        """Logits of a prior in the square."""
        if prior is None:
            return blank(SIDE)
        return self._padded(
            self.frame.logits_of(prior.mask) if prior.logits is None else prior.logits
        )

    def _padded(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits in a square whose padding is surely nothing, as in training."""
        height, width = self.frame.inner
        square = blank(SIDE)
        square[:height, :width] = logits[:height, :width]
        return square

    def _finished(
        self, logits: NDArray[np.float32], score: float, clicks: Sequence[Click]
    ) -> Segmentation:
        """The mask in the image's pixels; what a click says holds in its own pixel."""
        height, width = self.frame.inner
        inner = np.ascontiguousarray(logits[:height, :width])
        points = [Point(*click.to_pixel(*self.frame.size), click.positive) for click in clicks]
        full = obey(self.frame.to_image(inner), _effective(points))
        return Segmentation(full > 0, score, inner)


def _digest(file: Path) -> str:
    """Eight hexadecimal digits that change with the file."""
    return sha256(file.read_bytes()).hexdigest()[:8]


def _effective(points: Sequence[Point]) -> list[Point]:
    """Clicks without those that a later one in the same pixel replaces, oldest first."""
    latest: dict[tuple[int, int], Point] = {}
    for point in points:
        latest.pop(point.pixel, None)
        latest[point.pixel] = point
    return list(latest.values())
