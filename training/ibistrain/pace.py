"""How far a run has come: by its steps, or by the clock where its time is limited.

A borrowed graphics card and a cluster's queue give minutes, not steps. The learning rate falls to
nothing along whichever of the two ends first, so that a run that the clock ends is a whole one.
"""

from __future__ import annotations

import logging
import math
import time
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

logger = logging.getLogger(__name__)


class Pace(TrainerCallback):
    """Learning rate and end of a run.

    Args:
        steps: Optimiser steps, at most.
        warmup: Steps up to the highest learning rate.
        minutes: After how long the run ends if it has not yet; None for never. Counted from the
            first step, anew in a run that is continued.
    """

    def __init__(self, steps: int, warmup: int, minutes: float | None = None) -> None:
        self._steps, self._warmup, self._minutes = steps, warmup, minutes
        self._began: float | None = None

    def schedule(self, optimiser: Optimizer | None) -> LambdaLR:
        """A rise along the warm-up, then half a cosine down to 0."""
        if optimiser is None:
            raise ValueError("a schedule needs an optimiser")
        return LambdaLR(optimiser, self.share_of_rate)

    def share_of_rate(self, step: int) -> float:
        """Learning rate at a step, as a share of the highest one."""
        if step < self._warmup:
            return (step + 1) / (self._warmup + 1)
        rest = max(1, self._steps - self._warmup)
        way = max((step - self._warmup) / rest, self._way_by_clock())
        return 0.5 * (1 + math.cos(math.pi * min(way, 1.0)))

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """End the run when its time is over."""
        if self._way_by_clock() >= 1:
            logger.info("the time is over after %d steps", state.global_step)
            control.should_training_stop = True

    def _way_by_clock(self) -> float:
        if self._minutes is None or self._began is None:
            return 0.0
        return (time.monotonic() - self._began) / (60 * self._minutes)
