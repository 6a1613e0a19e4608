"""How wrong masks are."""

from __future__ import annotations

import pytest
import torch

from ibistrain.clicks.click_loss import click_loss, dice


def halves() -> tuple[torch.Tensor, torch.Tensor]:
    """A target in the upper left quarter, and a picture that fills the left half."""
    target = torch.zeros(1, 16, 16, dtype=torch.bool)
    target[:, :8, :8] = True
    inside = torch.zeros_like(target)
    inside[:, :, :8] = True
    return target, inside


def test_a_right_mask_costs_nothing_and_a_wrong_one_much() -> None:
    target, inside = halves()
    right = torch.where(target, 20.0, -20.0)
    assert click_loss(right, torch.ones(1), target, inside).item() == pytest.approx(0, abs=1e-4)
    assert click_loss(-right, torch.zeros(1), target, inside).item() > 20


def test_the_padding_carries_no_loss() -> None:
    target, inside = halves()
    logits = torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    loss = click_loss(logits, torch.zeros(1), target, inside)
    loss.sum().backward()
    assert logits.grad is not None
    assert not logits.grad[~inside].any()
    assert logits.grad[inside].all()
    changed = torch.where(inside, logits.detach(), 5.0)
    assert torch.allclose(click_loss(changed, torch.zeros(1), target, inside), loss.detach())


def test_the_predicted_quality_is_that_of_the_mask() -> None:
    target, inside = halves()
    twice = torch.where(inside, 20.0, -20.0)  # IoU .5
    costs = [click_loss(twice, torch.tensor([q]), target, inside).item() for q in (0.4, 0.5, 0.6)]
    assert costs[1] < min(costs[0], costs[2])


def test_each_mask_has_its_own_loss_and_dice() -> None:
    target, inside = halves()
    targets, everywhere = target.repeat(2, 1, 1), inside.repeat(2, 1, 1)
    logits = torch.stack([torch.where(target[0], 9.0, -9.0), torch.where(inside[0], 9.0, -9.0)])
    losses = click_loss(logits, torch.tensor([1.0, 0.5]), targets, everywhere)
    assert losses[0] < losses[1]
    assert dice(logits > 0, targets).tolist() == pytest.approx([1, 2 / 3])
    assert dice(torch.zeros_like(targets), torch.zeros_like(targets)).tolist() == [0, 0]
