"""The trainer of transformers, on batches that are drawn where the model learns."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer

from ibistrain.clicks.click_model import ClickModel
from ibistrain.clicks.regions import MOST
from ibistrain.clicks.sequences import Played, draw_sequences, play
from ibistrain.clicks.sources import Source
from ibistrain.pace import Pace

CLICKS = ((1, 2, 3, 4, 6, 8), (3, 3, 4, 4, 3, 2))
"""How many clicks the sequences of a step have, and how often."""
ENCODER_RATE = 2.0
"""Learning rate of the encoder's factors in that of the rest: they begin at nothing."""
WEIGHT_DECAY = 0.01
WARMUP = 50
"""Steps up to the highest learning rate, at most."""


class ClickConfig(BaseModel):
    """Settings of one run; written into the run's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=1200, gt=0, description="Optimiser steps.")
    pictures: int = Field(default=24, gt=0, description="Pictures a step.")
    targets: int = Field(default=4, gt=0, description="Targets in each picture.")
    learning_rate: float = Field(default=5e-4, gt=0)
    boxes: int = Field(
        default=MOST,
        ge=0,
        le=MOST,
        description="Boxes in which each picture is searched for regions without a label, once.",
    )
    posed: int | None = Field(
        default=None,
        gt=0,
        description="Posed pictures that are embedded once, instead of new ones in every step; the "
        "image encoder then stays as it is, which is what a processor can afford.",
    )
    minutes: float | None = Field(
        default=None, gt=0, description="The run ends after that long if it has not yet."
    )
    seed: int = 0
    save_every: int = Field(default=500, gt=0, description="Steps between checkpoints.")


class ClickTrainer(Trainer):
    """Draws the batch of each step, and logs Dice after the first and after the last click.

    Args:
        source: Of the pictures, on the device of the training arguments.
        config: The run's settings.
        **kwargs: As for the trainer of transformers.
    """

    def __init__(self, source: Source, config: ClickConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._source, self._config = source, config
        self._seen: dict[str, list[Tensor]] = {}
        self._pace = Pace(config.steps, min(WARMUP, config.steps // 10), config.minutes)
        self.add_callback(self._pace)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
        """See `ibistrain.pace`."""
        del num_training_steps
        self.lr_scheduler = self._pace.schedule(optimizer or self.optimizer)
        return self.lr_scheduler

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """Another learning rate for the encoder's factors."""
        del args, kwargs
        if self.optimizer is None:
            model, rate = cast(ClickModel, self.model), self.args.learning_rate
            tuned = [one for one in model.image_encoder.parameters() if one.requires_grad]
            whole = [*model.prompt_encoder.parameters(), *model.mask_decoder.parameters()]
            groups = [{"params": tuned, "lr": rate * ENCODER_RATE}, {"params": whole, "lr": rate}]
            self.optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, fused=True)
        return self.optimizer

    def training_step(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Tensor:
        """Gradients of one step's batch, click by click, so that memory holds one click.

        Returns:
            The mean loss of a click, without gradient.
        """
        model.train()
        number = inputs["number"]
        net: ClickModel = self.accelerator.unwrap_model(model)
        clicks = Random(f"{self._config.seed}/{number}").choices(*CLICKS)[0]
        generator = torch.Generator(self._source.gallery.device)
        generator.manual_seed(self._config.seed * 1_000_003 + number)
        config = self._config
        sequences = draw_sequences(self._source, config.pictures, config.targets, generator)
        kept = sequences.embeddings
        embeddings = net(sequences.images) if kept is None else kept
        seen = embeddings.detach().requires_grad_(embeddings.requires_grad)
        played = []
        for one in play(net, seen, sequences, clicks, generator):
            self.accelerator.backward(one.loss / clicks)
            played.append(one)
        if embeddings.requires_grad:
            embeddings.backward(seen.grad)
        self._note(played)
        return torch.stack([one.loss.detach() for one in played]).mean()

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the means since the last log."""
        means = {n: float(torch.stack(values).nanmean()) for n, values in self._seen.items()}
        self._seen.clear()
        super().log({**logs, **means}, *args, **kwargs)

    def _note(self, played: Sequence[Played]) -> None:
        """Keep Dice on the device until it is logged."""
        self._seen.setdefault("dice_1", []).append(played[0].dice_fresh)
        self._seen.setdefault("dice_last", []).append(played[-1].dice)
