"""The tool as training has it is the tool in use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ibisagent.actions import Click
from ibisagent.tools.base import Segmentation
from ibisagent.tools.click_weights import write_click_weights
from ibisagent.tools.litemedsam import LiteMedSAM
from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet
from ibisagent.tools.square_frame import CERTAIN, SquareFrame
from ibistrain.clicks.click_model import ClickModel
from ibistrain.clicks.following import FollowingClicks
from ibistrain.corpus import LabelledPicture

TURNS = 4


@pytest.fixture(scope="module")
def weights(tiny: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As if the thin network had been trained, its encoder too.

    Then the tool in use has no second opinion on its first masks, as the embedded one.
    """
    model = ClickModel(LiteMedSAMNet("cpu"))
    torch.manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.08 * torch.randn_like(weight))
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    write_click_weights(path, model.weights())
    return path


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
        positive = bool(not mask.any() or (rng.random() < 0.5 and not mask.all()))
        rows, columns = np.nonzero(~mask if positive else mask)
        one = rng.integers(len(rows))
        found.append(Click.from_pixel(rows[one], columns[one], *mask.shape, positive))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_masks_follow_clicks_as_in_use(
    following: FollowingClicks, tool: LiteMedSAM, pictures: list[LabelledPicture], seed: int
) -> None:
    """Click by click, on two pictures at once, one of them twice."""
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
    masks = [np.zeros(frame.inner, bool)] * 3
    for _ in range(TURNS):
        newest = next_clicks(masks, rng)
        places = torch.tensor([frame.pixel(click) for click in newest])
        points = torch.cat([points, places[:, None]], 1)
        signs = torch.cat([signs, torch.tensor([[click.positive] for click in newest])], 1)
        logits = following.follow(embeddings, logits, points, signs, frame.inner)
        for number, click in enumerate(newest):
            clicked[number].append(click)
            used[number] = prepared[number].segment(clicked[number], used[number])
            expected = torch.from_numpy(used[number].logits)
            assert torch.allclose(logits[number, :height, :width], expected, atol=2e-2)
        masks = [(one[:height, :width] > 0).numpy() for one in logits]
    assert (logits[:, height:] == -CERTAIN).all()
    assert (logits[:, :, width:] == -CERTAIN).all()
    assert (logits > 0).flatten(1).any(1).all()


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
