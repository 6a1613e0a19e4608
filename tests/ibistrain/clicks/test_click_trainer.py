"""Steps of the trainer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import TrainingArguments

from ibisagent.tools.litemedsam_net import LiteMedSAMNet
from ibistrain.batches.contrast import Contrasts
from ibistrain.batches.gallery import Gallery
from ibistrain.batches.numbers import Numbers, number_of
from ibistrain.batches.pose import Poses
from ibistrain.clicks import click_trainer, squares
from ibistrain.clicks.click_model import ClickModel
from ibistrain.clicks.click_trainer import ENCODER_RATE, ClickConfig, ClickTrainer
from ibistrain.clicks.sources import Anew

CONFIG = ClickConfig(steps=12, pictures=1, targets=2, learning_rate=2e-3)


def trainer(gallery: Gallery, folder: Path) -> ClickTrainer:
    arguments = TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        learning_rate=CONFIG.learning_rate,
        report_to=[],
    )
    return ClickTrainer(
        Anew(gallery, torch.zeros_like(gallery.labels)),
        CONFIG,
        model=ClickModel(LiteMedSAMNet("cpu"), rank=4),
        args=arguments,
        data_collator=number_of,
        train_dataset=Numbers(CONFIG.steps),
    )


@pytest.mark.usefixtures("tiny")
def test_a_step_is_decided_by_its_number(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(click_trainer, "CLICKS", ((2,), (1,)))
    made = trainer(gallery, tmp_path)
    losses = [float(made.training_step(made.model, {"number": n})) for n in (3, 4, 3)]
    assert losses[0] == losses[2] != losses[1]
    made.log({"loss": 1.0})
    logged = made.state.log_history[-1]
    assert logged["loss"] == 1
    assert 0 <= logged["dice_1"] <= 1
    assert 0 <= logged["dice_last"] <= 1


@pytest.mark.usefixtures("tiny")
def test_the_encoder_learns_at_a_rate_of_its_own(gallery: Gallery, tmp_path: Path) -> None:
    tuned, whole = trainer(gallery, tmp_path).create_optimizer().param_groups
    assert tuned["lr"] == ENCODER_RATE * whole["lr"]
    assert all(weight.requires_grad for weight in [*tuned["params"], *whole["params"]])


@pytest.mark.usefixtures("tiny")
def test_the_loss_falls_on_a_batch_that_comes_again(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(squares, "CONTRASTS", Contrasts(strength=0))
    monkeypatch.setattr(squares, "POSES", Poses(strength=0))
    monkeypatch.setattr(squares, "TURN", 0.0)
    monkeypatch.setattr(click_trainer, "CLICKS", ((1,), (1,)))
    made = trainer(gallery, tmp_path)
    optimiser = made.create_optimizer()
    losses = []
    for _ in range(8):
        losses.append(float(made.training_step(made.model, {"number": 0})))
        optimiser.step()
        optimiser.zero_grad()
    assert losses[-1] < 0.75 * losses[0]
