"""One training run of the embedded tool, by the trainer of transformers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from ibisagent.tools.litemedsam_net import LiteMedSAMNet
from ibistrain.clicks.click_model import ClickModel, Sequences
from ibistrain.clicks.embedded_pictures import EmbeddedPicture
from ibistrain.clicks.targets import draw_start, draw_target

logger = logging.getLogger(__name__)

WEIGHTS_FILE = "litemedsam_clicks.safetensors"
CLICKS = ((1, 2, 3, 4, 6, 8), (3, 3, 4, 4, 3, 2))
"""How many clicks a sequence has, and how often."""
STARTED = 0.2
"""Share of sequences that begin with somebody's mask."""


class ClickConfig(BaseModel):
    """Settings of one run; written into the run's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=2000, gt=0, description="Optimiser steps.")
    pictures: int = Field(default=2, gt=0, description="Pictures a step.")
    targets: int = Field(default=3, gt=0, description="Targets in each picture.")
    learning_rate: float = Field(default=3e-4, gt=0)
    seed: int = 0
    save_every: int = Field(default=100, gt=0, description="Steps between checkpoints.")


class DrawnSequences(Dataset[Sequences]):
    """Sequences drawn by their number: the same number gives the same sequence.

    Args:
        folder: Of embedded pictures.
        config: The run's settings.
    """

    def __init__(self, folder: Path, config: ClickConfig) -> None:
        self._files = sorted(folder.glob("*.npz"))
        self._config = config

    def __len__(self) -> int:
        return self._config.steps * self._config.pictures

    def __getitem__(self, index: int) -> Sequences:
        rng = Random(f"{self._config.seed}/{index}")
        picture = EmbeddedPicture.load(rng.choice(self._files))
        drawn = [draw_target(picture, rng) for _ in range(self._config.targets)]
        targets = [target for target in drawn if target is not None and target.any()]
        if not targets:
            return self[rng.randrange(len(self))]
        started = rng.random() < STARTED
        starts = [draw_start(t, picture, rng) if started else np.zeros_like(t) for t in targets]
        return Sequences(
            torch.from_numpy(picture.embedding)[None].float(),
            np.stack(targets),
            np.stack(starts),
            picture.inner,
            rng.choices(*CLICKS)[0],
            rng.getrandbits(31),
        )


class ClickTrainer(Trainer):
    """Logs, beside the loss, Dice after the first and after the last click."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._seen: dict[str, list[float]] = {}

    def compute_loss(  # type: ignore[override]
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any
    ) -> Any:
        """See `ClickModel.forward`."""
        outputs = model(**inputs)
        for name in ("dice_1", "dice_last"):
            if torch.isfinite(outputs[name]):
                self._seen.setdefault(name, []).append(float(outputs[name]))
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the means since the last log."""
        means = {name: sum(values) / len(values) for name, values in self._seen.items()}
        self._seen.clear()
        super().log({**logs, **means}, *args, **kwargs)


def train_clicks(pictures: Path, out: Path, config: ClickConfig, start: Path | None = None) -> Path:
    """Train the tool's prompt encoder and mask decoder; continues a run that was broken off.

    Args:
        pictures: Folder that `embed_pictures` filled.
        out: Run folder.
        config: Settings.
        start: Weights of an earlier run; those of LiteMedSAM if not given.

    Returns:
        The weights' file, float32.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(config.model_dump_json(indent=1), encoding="utf-8")
    net = LiteMedSAMNet("cpu")
    model = ClickModel(net.prompt_encoder, net.mask_decoder).requires_grad_(True)
    if start is not None:
        model.load_state_dict(load_file(start))
    trainer = ClickTrainer(
        model=model,
        args=_arguments(out, config),
        data_collator=_together,
        train_dataset=DrawnSequences(pictures, config),
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(out)))
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, out / WEIGHTS_FILE)
    return out / WEIGHTS_FILE


def _together(sequences: Sequence[Sequences]) -> dict[str, Any]:
    """Sequences differ in size and length, so that they are not stacked."""
    return {"sequences": list(sequences)}


def _arguments(out: Path, config: ClickConfig) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(out),
        max_steps=config.steps,
        per_device_train_batch_size=config.pictures,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(50, config.steps // 10),
        weight_decay=0.01,
        max_grad_norm=1.0,
        logging_steps=10,
        save_steps=config.save_every,
        save_total_limit=2,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,  # sequences are objects, not tensors
        report_to=["tensorboard"],
        remove_unused_columns=False,
        dataloader_num_workers=1,  # draws sequences while the model learns
        seed=config.seed,
    )
