"""The tool as training has it is the tool in use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness.tiny_litemedsam import build
from torch import Tensor, nn
from torch.nn import functional

from ibisagent.actions import Click
from ibisagent.tools.base import Segmentation
from ibisagent.tools.click_consistency import depth
from ibisagent.tools.click_prompt import DRAWN
from ibisagent.tools.click_weights import write_click_weights
from ibisagent.tools.litemedsam import LiteMedSAM
from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet
from ibisagent.tools.square_frame import CERTAIN, SquareFrame
from ibistrain.clicks.click_model import ClickModel
from ibistrain.clicks.following import FollowingClicks
from ibistrain.labelled_picture import LabelledPicture

TURNS = 4
SAID = {-DRAWN: -12.0, -CERTAIN: -1.0, CERTAIN: 1.0, DRAWN: 12.0}
"""What the decoder below makes of what is drawn."""


class Obedient(nn.Module):
    """A mask decoder whose mask follows clicks, and else the mask so far and the picture.

    An untrained one makes noise, of which no click changes anything.
    """

    def __init__(self, prompt_encoder: Any) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        chosen = torch.randint(0, len(SAID), (6, 1, SIDE // 8, SIDE // 8), generator=generator)
        blocks = chosen.repeat_interleave(8, 2).repeat_interleave(8, 3)
        drawn, wanted = (torch.tensor([*side])[blocks] for side in (SAID.keys(), SAID.values()))
        with torch.no_grad():
            _, dense = prompt_encoder(points=None, boxes=None, masks=drawn)
        seen = functional.pad(dense.movedim(1, 3).reshape(-1, 256), (0, 1), value=1.0)
        wanted = functional.avg_pool2d(wanted, 4).reshape(-1, 1)
        ridge = 1e-2 * len(seen) * torch.eye(257)
        self.register_buffer("read", torch.linalg.solve(seen.T @ seen + ridge, seen.T @ wanted))

    def forward(
        self, embeddings: Tensor, where: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As `one_mask` does it."""
        del where
        weights, bias = self.read[:-1, 0], self.read[-1]
        said = torch.einsum("pcrk,c->prk", dense, weights) + bias
        smooth = functional.avg_pool2d(embeddings[:, 0], 9, 1, 4, count_include_pad=False)
        said = said - said.flatten(1).median(1).values[:, None, None] - 1
        said = said + 2 * functional.layer_norm(smooth, smooth.shape[1:])
        said = said + sparse.mean((1, 2)).tanh()[:, None, None]
        logits = functional.interpolate(said[:, None], (SIDE, SIDE), mode="bilinear")
        return logits[:, 0], torch.ones(len(logits))


def obedient() -> nn.Module:
    net = build()
    net.mask_decoder = Obedient(net.prompt_encoder)
    return net


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a thin network; its encoder is tuned, and so there is no second opinion on first masks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ibisagent.tools.litemedsam_net._build", obedient)
        for module in ("ibisagent.tools.litemedsam_net", "ibistrain.clicks.click_model"):
            patch.setattr(f"{module}.one_mask", lambda decoder, *asked: decoder(*asked))
        torch.manual_seed(2)
        model = ClickModel(LiteMedSAMNet("cpu"))
        with torch.no_grad():
            for weight in model.image_encoder.parameters():
                if weight.requires_grad:
                    weight.add_(0.05 * torch.randn_like(weight))
        path = tmp_path_factory.mktemp("weights") / "w.safetensors"
        write_click_weights(path, model.weights())
        yield path


@pytest.fixture(scope="module")
def following(weights: Path) -> FollowingClicks:
    return FollowingClicks(weights, "cpu")


@pytest.fixture(scope="module")
def tool(weights: Path) -> LiteMedSAM:
    return LiteMedSAM("cpu", weights)


def stacked(pictures: list[LabelledPicture]) -> Tensor:
    return torch.stack([torch.from_numpy(one.rgb.copy()) for one in pictures]).permute(0, 3, 1, 2)


def test_pictures_are_embedded_as_in_use(
    following: FollowingClicks, tool: LiteMedSAM, pictures: list[LabelledPicture]
) -> None:
    found = following.embed(stacked(pictures[:3]).float())
    expected = torch.cat(tool._embed_many([one.rgb for one in pictures[:3]]))
    assert found.shape == (3, 256, SIDE // 4, SIDE // 4)
    assert torch.allclose(found, expected, atol=1e-3)
    assert not torch.allclose(found[0], found[1], atol=1e-1)


def test_the_range_of_a_picture_does_not_matter(
    following: FollowingClicks, pictures: list[LabelledPicture]
) -> None:
    images = stacked(pictures[:2]).float()
    assert torch.allclose(following.embed(images), following.embed(3 * images - 50), atol=1e-3)


def next_clicks(masks: list[np.ndarray], rng: np.random.Generator) -> list[Click]:
    """One click a mask that the mask contradicts, so that the tool in use is asked, too."""
    found = []
    for mask in masks:
        deep = [depth(wrong) > 4 for wrong in (mask, ~mask)]
        positive = bool(deep[1].any() and (rng.random() < 0.5 or not deep[0].any()))
        rows, columns = np.nonzero(deep[positive])
        one = rng.integers(len(rows))
        found.append(Click.from_pixel(rows[one], columns[one], *mask.shape, positive))
    return found


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_masks_follow_clicks_as_in_use(
    following: FollowingClicks, tool: LiteMedSAM, pictures: list[LabelledPicture], seed: int
) -> None:
    """Click by click, on two pictures at once, one of them twice.

    Until a mask contradicts a click before its last: the tool in use asks for that one again.
    """
    rng = np.random.default_rng(seed)
    chosen = [pictures[0], pictures[1], pictures[0]]
    frame = SquareFrame.of(chosen[0].rgb, SIDE)
    height, width = frame.inner
    prepared = [tool.set_image(one.rgb) for one in chosen]
    embeddings = following.embed(stacked(chosen).float())
    logits = following.blank(3)
    points, signs = torch.zeros(3, 0, 2, dtype=torch.int64), torch.zeros(3, 0, dtype=torch.bool)
    used: list[Segmentation | None] = [None] * 3
    clicked: list[list[Click]] = [[], [], []]
    masks = np.zeros((3, height, width), bool)
    followed = 0
    for _ in range(TURNS):
        told = [
            all(mask[frame.pixel(click)] == click.positive for click in earlier)
            for mask, earlier in zip(masks, clicked, strict=True)
        ]
        newest = next_clicks(masks, rng)
        places = torch.tensor([frame.pixel(click) for click in newest])
        points = torch.cat([points, places[:, None]], 1)
        signs = torch.cat([signs, torch.tensor([[click.positive] for click in newest])], 1)
        logits = following.follow(embeddings, logits, points, signs, frame.inner)
        assert (logits[:, height:] == -CERTAIN).all()
        assert (logits[:, :, width:] == -CERTAIN).all()
        before, masks = masks, (logits[:, :height, :width] > 0).numpy()
        for number, click in enumerate(newest):
            clicked[number].append(click)
            if told[number]:
                used[number] = prepared[number].segment(clicked[number], used[number])
                expected = torch.from_numpy(used[number].logits)
                differ = (logits[number, :height, :width] - expected).abs() > 1e-2
                assert differ.sum() < 5  # a pixel on the border's very line
                followed += bool((masks[number] != before[number]).any())
    assert followed >= 6


def test_nothing_is_marked_before_the_first_click(following: FollowingClicks) -> None:
    blank = following.blank(2)
    assert blank.shape == (2, SIDE, SIDE)
    assert (blank == -CERTAIN).all()


def test_nothing_of_the_tool_is_learnt(
    following: FollowingClicks, pictures: list[LabelledPicture]
) -> None:
    """Whatever learns from its masks and embeddings must not change it."""
    assert not any(weight.requires_grad for weight in following._model.parameters())
    assert not following.embed(stacked(pictures[:1]).float().requires_grad_()).requires_grad
