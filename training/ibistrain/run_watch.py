"""Lets others watch a run of the trainer, and stop it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ibistrain.run_folder import RunFolder

OnLog = Callable[[dict[str, float]], None]
ShouldStop = Callable[[], bool]


class RunWatch(TrainerCallback):
    """Notes figures, passes them on, and stops the run when asked to; it saves first.

    Args:
        folder: Of the run.
        on_log: Called at each logging step with ``step``, ``total_steps`` and the figures.
        should_stop: Read at each step.
    """

    def __init__(self, folder: RunFolder, on_log: OnLog | None, should_stop: ShouldStop) -> None:
        self._folder = folder
        self._on_log = on_log
        self._should_stop = should_stop

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Forget what an interrupted run had noted beyond its last checkpoint."""
        if state.is_world_process_zero:
            self._folder.forget_after(state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Note and pass on."""
        if not state.is_world_process_zero:
            return
        figures = {k: float(v) for k, v in (logs or {}).items() if isinstance(v, int | float)}
        row = {"step": state.global_step, "total_steps": state.max_steps, **figures}
        self._folder.note(row)
        if self._on_log is not None:
            self._on_log(row)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stop if asked to."""
        if self._should_stop():
            control.should_save = control.should_training_stop = True
