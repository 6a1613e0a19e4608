"""The loss of an interactive sequence, on the real network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet
from ibistrain.clicks import targets
from ibistrain.clicks.click_model import ClickModel, Sequences


@pytest.fixture(scope="module")
def model() -> ClickModel:
    net = LiteMedSAMNet("cpu")
    return ClickModel(net.prompt_encoder, net.mask_decoder).requires_grad_(True)


def sequences(clicks: int, started: bool) -> Sequences:
    targets = np.zeros((2, SIDE, SIDE), bool)
    targets[0, 40:90, 40:90] = True
    targets[1, 100:130, 20:60] = True
    starts = np.roll(targets, 15, 2) if started else np.zeros_like(targets)
    embedding = torch.randn(1, 256, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.1
    return Sequences(embedding, targets, starts, (SIDE, 180), clicks, 7)


def test_the_loss_reaches_both_trained_parts(model: ClickModel) -> None:
    model.zero_grad()
    model([sequences(2, started=False)])["loss"].backward()
    for part in (model.prompt_encoder, model.mask_decoder):
        gradients = [weight.grad for weight in part.parameters() if weight.grad is not None]
        assert sum(float(gradient.abs().sum()) for gradient in gradients) > 0


def test_the_same_seed_gives_the_same_clicks(model: ClickModel) -> None:
    with torch.no_grad():
        one, other = (model([sequences(2, started=True)])["loss"] for _ in range(2))
    assert one == other


def test_first_clicks_are_counted_only_where_nothing_was_marked(model: ClickModel) -> None:
    with torch.no_grad():
        fresh, started = model([sequences(1, False)]), model([sequences(1, True)])
    assert fresh["dice_1"] == fresh["dice_last"]
    assert torch.isnan(started["dice_1"])


def test_some_steps_make_it_follow_the_clicks(model: ClickModel) -> None:
    task = sequences(1, started=False)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=5e-4)
    losses = []
    for _ in range(6):
        loss = model([task])["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_what_a_click_may_not_change_is_fed_back_as_it_was(
    model: ClickModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder forgets somebody's mask; the click was elsewhere, so it comes back."""
    target, start = np.zeros((2, 1, SIDE, SIDE), bool)
    target[0, 40:90, 40:90] = start[0, 60:64, 60:64] = start[0, 200:220, 20:40] = True
    fed: list[np.ndarray] = []

    def decode(embedding: torch.Tensor, priors: np.ndarray, clicks: object) -> tuple[Any, Any]:
        fed.append(priors)
        answer = torch.where(torch.from_numpy(target), 5.0, -5.0)
        return answer.requires_grad_(), torch.zeros(1)

    monkeypatch.setattr(model, "decode", decode)
    monkeypatch.setattr(targets, "WRONG", 0.0)
    model([Sequences(torch.zeros(1), target, start, (SIDE, SIDE), 2, 0)])
    assert (fed[1][0] > 0)[200:220, 20:40].all()
    assert (fed[1][0] > 0)[40:90, 40:90].all()
