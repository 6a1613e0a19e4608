"""The tool as a policy in training has it: many pictures and clicks at once, and nothing learnt."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ibisagent.tools.click_weights import EMBEDDED, read_click_weights
from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet
from ibisagent.tools.square_frame import CERTAIN, SquareFrame
from ibistrain.clicks.click_model import ClickModel
from ibistrain.clicks.clicking import Clicks
from ibistrain.clicks.prompts import as_logits, merged, with_clicks, with_discs
from ibistrain.clicks.squares import stretched


class FollowingClicks:
    """LiteMedSAM that follows clicks; see `ibistrain.batches.marks.FollowingTool`.

    Args:
        weights: Of the trained tool.
        device: Where.

    Raises:
        ModelNotFound: The weights are missing, damaged, or of another network.
    """

    def __init__(self, weights: Path = EMBEDDED, device: str = "auto") -> None:
        net = LiteMedSAMNet(device)
        read_click_weights(weights, net.prompt_encoder, net.mask_decoder, net.image_encoder)
        self._device = net.device
        self._model = ClickModel(net).to(net.device)
        self._model.requires_grad_(False)

    @torch.no_grad()
    def embed(self, pictures: Tensor) -> Tensor:
        """Embeddings of pictures of one size, axes (picture, channel, row, column).

        Args:
            pictures: Axes (picture, channel, row, column), in any range.
        """
        height, width = SquareFrame((pictures.shape[2], pictures.shape[3]), SIDE).inner
        images = functional.interpolate(
            pictures, (height, width), mode="bilinear", antialias=True, align_corners=False
        )
        inside = torch.ones_like(images[:, 0], dtype=torch.bool)
        images = stretched(images, inside)
        embeddings: Tensor = self._model(
            functional.pad(images, (0, SIDE - width, 0, SIDE - height))
        )
        return embeddings

    def blank(self, count: int) -> Tensor:
        """Logits before the first click, axes (prompt, row, column)."""
        return as_logits(torch.zeros(count, SIDE, SIDE, dtype=torch.bool, device=self._device))

    @torch.no_grad()
    def follow(
        self,
        embeddings: Tensor,
        logits: Tensor,
        points: Tensor,
        signs: Tensor,
        inner: tuple[int, int],
    ) -> Tensor:
        """Logits after the newest click, axes (prompt, row, column).

        Args:
            embeddings: One a prompt.
            logits: Before it.
            points: (row, column) of all clicks so far, axes (prompt, click, 2).
            signs: Which of them are positive, axes (prompt, click).
            inner: (height, width) of the picture in the square.
        """
        discs = torch.zeros_like(logits, dtype=torch.int8)
        clicks = [Clicks(*one) for one in zip(points.unbind(1), signs.unbind(1), strict=True)]
        for click in clicks:
            discs = with_discs(discs, click)
        after, _ = self._model.decode(embeddings, with_clicks(logits, discs), points, signs)
        outside = torch.ones_like(logits, dtype=torch.bool)
        outside[:, : inner[0], : inner[1]] = False
        return merged(logits, torch.where(outside, -CERTAIN, after), clicks[-1])
