"""The model in training is the model in use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ibisagent.tools.click_consistency import Point
from ibisagent.tools.click_prompt import blank, with_clicks
from ibisagent.tools.click_weights import write_click_weights
from ibisagent.tools.litemedsam import LiteMedSAM
from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet
from ibistrain.clicks.click_model import ClickModel


@pytest.fixture(scope="module")
def model(tiny: None) -> ClickModel:
    """As if it had been trained."""
    made = ClickModel(LiteMedSAMNet("cpu"), rank=4)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if weight.requires_grad:
                weight.add_(0.05 * torch.randn_like(weight))
            assert weight.requires_grad or name.startswith("image_encoder.")
    return made


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def test_written_weights_do_in_the_tool_what_they_did_in_training(
    model: ClickModel, image: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    save_file(model.weights(), path)
    tool = LiteMedSAM("cpu", path)
    with torch.no_grad():
        embedding = model(image)
        untuned = LiteMedSAMNet("cpu").image_encoder(image)
        assert torch.allclose(tool._net.image_encoder(image), embedding, atol=1e-4)
        assert not torch.allclose(untuned, embedding, atol=1e-1)
        clicks = [Point(40, 50, True), Point(200, 30, False)]
        drawn = torch.from_numpy(with_clicks(blank(SIDE), clicks))[None]
        places = torch.tensor([[click.pixel for click in clicks]])
        logits, quality = model.decode(embedding, drawn, places, torch.tensor([[True, False]]))
    expected, score = tool.decode(embedding, blank(SIDE), clicks)
    assert np.allclose(logits[0], expected, atol=1e-3)
    assert float(quality.clamp(0, 1)) == pytest.approx(score, abs=1e-4)
    assert tool.reconsider(embedding, (SIDE, SIDE), clicks[0], (expected, 0.1))[1] == 0.1


def test_float16_is_near_enough(model: ClickModel, image: Tensor, tmp_path: Path) -> None:
    write_click_weights(tmp_path / "w.safetensors", model.weights())
    tool = LiteMedSAM("cpu", tmp_path / "w.safetensors")
    with torch.no_grad():
        assert torch.allclose(tool._net.image_encoder(image), model(image), atol=0.05)


def test_a_run_begins_with_an_earlier_one(model: ClickModel, image: Tensor) -> None:
    again = ClickModel(LiteMedSAMNet("cpu"), rank=4)
    again.begin_with(model.weights())
    with torch.no_grad():
        assert torch.allclose(again(image), model(image), atol=1e-4)
    assert again.weights().keys() == model.weights().keys()


def test_a_run_begins_with_weights_that_leave_the_encoder(model: ClickModel, image: Tensor) -> None:
    old = {n: v for n, v in model.weights().items() if not n.startswith("image_encoder.")}
    again = ClickModel(LiteMedSAMNet("cpu"), rank=4)
    again.begin_with(old)
    with torch.no_grad():
        assert torch.equal(again(image), LiteMedSAMNet("cpu").image_encoder(image))
    assert not any(name.startswith("image_encoder.") for name in again.weights())


def test_batch_statistics_are_not_changed_by_training(model: ClickModel, image: Tensor) -> None:
    def statistics() -> Mapping[str, Tensor]:
        return {n: v.clone() for n, v in model.state_dict().items() if "running" in n}

    before = statistics()
    model.train()
    assert not any(part.training for part in model.modules())
    assert any(isinstance(part, nn.BatchNorm2d) for part in model.modules())
    with torch.no_grad():
        model(image)
    assert all(torch.equal(value, before[name]) for name, value in statistics().items())


def test_one_embedding_a_prompt(model: ClickModel, image: Tensor) -> None:
    """Prompts in a batch do not see each other."""
    images = torch.cat([image, image.flip(2)])
    places = torch.tensor([[[40, 50]], [[120, 130]]])
    drawn = torch.full((2, SIDE, SIDE), -8.0)
    signs = torch.ones(2, 1, dtype=torch.bool)
    with torch.no_grad():
        embeddings = model(images)
        both, _ = model.decode(embeddings, drawn, places, signs)
        second, _ = model.decode(embeddings[1:], drawn[1:], places[1:], signs[1:])
    assert torch.allclose(both[1:], second, atol=1e-3)
