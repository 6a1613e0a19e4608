"""LiteMedSAM as it is trained, and what of it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ibisagent.tools.half_precision import half_precision
from ibisagent.tools.litemedsam_net import LiteMedSAMNet
from ibisagent.tools.one_mask import one_mask
from ibistrain.clicks.low_rank import RANK, factors, set_factors, tune

_ENCODER = "image_encoder."


class ClickModel(nn.Module):
    """LiteMedSAM: its image encoder is tuned, all else is trained.

    Args:
        net: Changed in place.
        rank: Of the factors that tune the encoder.
    """

    def __init__(self, net: LiteMedSAMNet, rank: int = RANK) -> None:
        super().__init__()
        tune(net.image_encoder, rank)
        self.image_encoder: Any = net.image_encoder
        self.prompt_encoder: Any = net.prompt_encoder.requires_grad_(True)
        self.mask_decoder: Any = net.mask_decoder.requires_grad_(True)

    def train(self, mode: bool = True) -> ClickModel:
        """Nothing behaves otherwise in training: batch statistics are those of LiteMedSAM."""
        del mode
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings, axes (picture, channel, row, column), of `Squares.images`."""
        with half_precision(images.device):
            embeddings: Tensor = self.image_encoder(images)
        return embeddings.float()

    def decode(
        self, embeddings: Tensor, drawn: Tensor, places: Tensor, signs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One mask for each prompt.

        Args:
            embeddings: One a prompt.
            drawn: Logits of the masks so far with the clicks in them, axes (prompt, row, column).
            places: (row, column) of all clicks so far, axes (prompt, click, 2).
            signs: Whether they are positive, axes (prompt, click), bool.

        Returns:
            Logits, axes (prompt, row, column), and predicted IoU, axis (prompt).
        """
        # Places in bfloat16 would be wrong by pixels, so prompts are encoded in float32, as in use.
        points = (places.flip(2).float(), signs.long())
        sparse, dense = self.prompt_encoder(points=points, boxes=None, masks=drawn[:, None])
        where = self.prompt_encoder.get_dense_pe()
        with half_precision(drawn.device):
            logits, quality = one_mask(self.mask_decoder, embeddings, where, sparse, dense)
        return logits.float(), quality.float()

    @property
    def tuned(self) -> bool:
        """Whether the image encoder is another one than LiteMedSAM's."""
        parts = factors(self.image_encoder).items()
        return any(bool(value.any()) for name, value in parts if name.endswith(".up"))

    def weights(self) -> dict[str, Tensor]:
        """What `ibisagent.tools.click_weights` reads; an encoder that was not tuned is left out."""
        tuned = factors(self.image_encoder) if self.tuned else {}
        whole = {
            name: value
            for name, value in self.state_dict().items()
            if not name.startswith(_ENCODER)
        }
        return {**whole, **{_ENCODER + name: value for name, value in tuned.items()}}

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take the weights of an earlier run, with or without a tuned encoder."""
        given = {name: value.float() for name, value in weights.items()}
        tuned = {n.removeprefix(_ENCODER): v for n, v in given.items() if n.startswith(_ENCODER)}
        for part in ("prompt_encoder", "mask_decoder"):
            prefix = f"{part}."
            own = {n.removeprefix(prefix): v for n, v in given.items() if n.startswith(prefix)}
            getattr(self, part).load_state_dict(own)
        if tuned:
            set_factors(self.image_encoder, tuned)
