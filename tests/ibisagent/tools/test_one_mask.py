"""The one mask that we ask for is the first of those that SAM's decoder makes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet
from ibisagent.tools.one_mask import one_mask

PROMPTS, CELLS = 3, SIDE // 4


@pytest.fixture(scope="module")
def net() -> LiteMedSAMNet:
    found = LiteMedSAMNet("cpu")
    found.mask_decoder.requires_grad_(True)
    return found


@pytest.fixture(scope="module")
def prompts(net: LiteMedSAMNet) -> tuple[Tensor, Tensor]:
    """Two clicks on each of three masks, embedded: (sparse, dense)."""
    random = torch.Generator().manual_seed(0)
    places = torch.randint(0, SIDE, (PROMPTS, 2, 2), generator=random).float()
    masks = torch.randn(PROMPTS, 1, SIDE, SIDE, generator=random) * 5
    signs = torch.tensor([[1, 0]]).expand(PROMPTS, -1)
    found: tuple[Tensor, Tensor] = net.prompt_encoder((places, signs), None, masks)
    return found


def _first_of_all(
    net: LiteMedSAMNet, embeddings: Tensor, prompts: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    logits, quality = net.mask_decoder(
        image_embeddings=embeddings,
        image_pe=net.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=prompts[0],
        dense_prompt_embeddings=prompts[1],
        multimask_output=False,
    )
    return logits[:, 0], quality[:, 0]


@pytest.mark.parametrize("embedded", [1, PROMPTS], ids=["one image", "an image each"])
def test_it_is_the_decoders_first_mask(
    net: LiteMedSAMNet, prompts: tuple[Tensor, Tensor], embedded: int
) -> None:
    random = torch.Generator().manual_seed(1)
    embeddings = torch.randn(embedded, 256, CELLS, CELLS, generator=random)
    where = net.prompt_encoder.get_dense_pe()
    with torch.no_grad():
        wanted = _first_of_all(net, embeddings, prompts)
        found = one_mask(net.mask_decoder, embeddings, where, *prompts)
    assert found[0].shape == (PROMPTS, SIDE, SIDE)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-4)


def test_it_teaches_the_decoder_the_same(
    net: LiteMedSAMNet, prompts: tuple[Tensor, Tensor]
) -> None:
    embeddings = torch.randn(1, 256, CELLS, CELLS, generator=torch.Generator().manual_seed(2))
    where = net.prompt_encoder.get_dense_pe()
    parameters = list(net.mask_decoder.parameters())
    gradients = []
    for logits, quality in (
        _first_of_all(net, embeddings, prompts),
        one_mask(net.mask_decoder, embeddings, where, *prompts),
    ):
        loss = logits.sigmoid().square().mean() + quality.mean()
        made = torch.autograd.grad(loss, parameters, allow_unused=True)
        gradients.append([torch.zeros(()) if one is None else one for one in made])
    largest = max(float(one.abs().max()) for one in gradients[0])
    assert largest > 0
    for ours, theirs in zip(*gradients, strict=True):
        assert float((ours - theirs).abs().max()) < 1e-3 * largest
