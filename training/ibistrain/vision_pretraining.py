"""Teach the vision tower to see before the text model learns to speak of it.

A vision token is asked, for each target the picture's labels answer for, how much of each
quarter of its cell the target covers. A picture seen so costs a sixth of one in the full
training and says far more: every target, everywhere, at once. The read-outs are thrown away.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset
from transformers import AutoModelForImageTextToText, AutoProcessor, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from ibisagent.prompts import PROFILE_FILE
from ibistrain.augment import recolour, warp
from ibistrain.clicks.repaint import repaint
from ibistrain.corpus import LabelledPicture, by_set_and_subject

logger = logging.getLogger(__name__)

QUARTERS = 2
"""Parts of a token's cell, in each direction, that are told apart."""
REPAINTED = 0.12
"""Share of pictures with many labels that are painted in contrasts of our own."""
MANY_LABELS = 5


class VisionConfig(BaseModel):
    """Settings of one run; written into the run's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=3000, gt=0, description="Optimiser steps.")
    batch: int = Field(default=32, gt=0, description="Pictures a step.")
    learning_rate: float = Field(default=1e-3, gt=0)
    strength: float = Field(default=1.0, ge=0, description="Of the augmentation.")
    seed: int = 0
    save_every: int = Field(default=250, gt=0, description="Steps between checkpoints.")


class Seen(BaseModel):
    """A picture in one random form, and its labels."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    rgb: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    targets: dict[str, tuple[int, ...]]


class DrawnPictures(Dataset[Seen]):
    """Pictures drawn by their number: the same number gives the same picture.

    Args:
        pictures: The corpus.
        weights: Weight of each set.
        config: The run's settings.
    """

    def __init__(
        self, pictures: Sequence[LabelledPicture], weights: dict[str, float], config: VisionConfig
    ) -> None:
        self._groups = by_set_and_subject(pictures)
        self._weights = [weights[name] for name in self._groups]
        self._config = config

    def __len__(self) -> int:
        return self._config.steps * self._config.batch

    def __getitem__(self, index: int) -> Seen:
        rng = random.Random(f"{self._config.seed}/{index}")
        name = rng.choices(list(self._groups), self._weights)[0]
        picture = rng.choice(rng.choice(list(self._groups[name].values())))
        strength, rgb = self._config.strength, picture.rgb
        if len(np.unique(picture.labels)) > MANY_LABELS and rng.random() < REPAINTED:
            rgb = repaint(rgb, picture.labels, rng)
        rgb, (labels,) = warp(rgb, [picture.labels], rng, picture.flip, strength)
        return Seen(rgb=recolour(rgb, rng, strength), labels=labels, targets=picture.targets)


class CoverageCollator:
    """Pictures to patches, labels to the share of each quarter cell that a target covers.

    Args:
        processor: The checkpoint's processor.
        targets: Names of all targets, in the order of the read-outs.
    """

    def __init__(self, processor: Any, targets: Sequence[str]) -> None:
        self._images = processor.image_processor
        self._index = {name: number for number, name in enumerate(targets)}

    def __call__(self, batch: Sequence[Seen]) -> dict[str, Any]:
        """Tensors ``pixel_values`` and ``image_grid_thw``, and lists over pictures.

        ``coverage``: axes (row, column, target) of quarter cells, in [0, 1]; ``known``: numbers
        of its targets.
        """
        pictures = [Image.fromarray(seen.rgb) for seen in batch]
        images = self._images(images=pictures, return_tensors="pt")
        merge = self._images.merge_size
        grids = [(int(h) // merge, int(w) // merge) for _, h, w in images["image_grid_thw"]]
        return {
            "pixel_values": images["pixel_values"],
            "image_grid_thw": images["image_grid_thw"],
            "grids": grids,
            "known": [[self._index[name] for name in seen.targets] for seen in batch],
            "coverage": [
                torch.from_numpy(quarter_coverage(seen.labels, list(seen.targets.values()), grid))
                for seen, grid in zip(batch, grids, strict=True)
            ],
        }


def quarter_coverage(
    labels: NDArray[np.uint8], targets: Sequence[Sequence[int]], grid: tuple[int, int]
) -> NDArray[np.float32]:
    """Share of each quarter cell that each target covers.

    Args:
        labels: Label ids, axes (row, column).
        targets: Ids of each target.
        grid: Token rows and columns of the picture.

    Returns:
        Axes (row, column, target), `QUARTERS` times as many rows and columns as `grid`.
    """
    rows, columns = (QUARTERS * n for n in grid)
    height, width = labels.shape
    row = (np.arange(height) * rows // height)[:, None]
    column = (np.arange(width) * columns // width)[None]
    cell = (row * columns + column).ravel()
    counts = np.bincount(cell * 256 + labels.ravel(), minlength=rows * columns * 256)
    counts = counts.reshape(rows * columns, 256)
    member = np.zeros((256, len(targets)), np.float32)
    for number, ids in enumerate(targets):
        member[list(ids), number] = 1
    share = counts @ member / np.maximum(counts.sum(1, keepdims=True), 1)
    return np.asarray(share.reshape(rows, columns, -1), np.float32)


class SeeingModel(nn.Module):
    """The vision tower with read-outs of place and coverage.

    Args:
        core: The multimodal model, of which only the vision tower is used.
        width: Width of its tokens.
        targets: How many targets there are.
    """

    def __init__(self, core: Any, width: int, targets: int) -> None:
        super().__init__()
        self.core = core
        self.place = nn.Linear(width, 2)
        self.cover = nn.Linear(width, QUARTERS**2 * targets)
        nn.init.constant_(self.cover.bias, -4.0)  # most targets are nowhere

    def forward(
        self,
        pixel_values: Tensor,
        image_grid_thw: Tensor,
        grids: Sequence[tuple[int, int]],
        known: Sequence[Sequence[int]],
        coverage: Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Loss, and the share of present targets whose surest quarter cell is right."""
        maps, places = self.maps(pixel_values, image_grid_thw, grids)
        losses, hits = [], []
        for logits, place, grid, names, truth in zip(
            maps, places, grids, known, coverage, strict=True
        ):
            asked, truth = logits[..., list(names)], truth.to(logits)
            losses.append(_coverage_loss(asked, truth) + 2 * _place_loss(place, grid))
            flat = truth.flatten(0, 1)
            there = flat.amax(0) > 0.5
            surest = asked.detach().flatten(0, 1).argmax(0, keepdim=True)
            hits.append((flat.gather(0, surest)[0] >= 0.5)[there].float())
        return {"loss": torch.stack(losses).mean(), "hit": torch.cat(hits).mean()}

    def maps(
        self, pixel_values: Tensor, image_grid_thw: Tensor, grids: Sequence[tuple[int, int]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Coverage logits of each picture, axes (row, column, target), and read-out places."""
        features = self.core.get_image_features(pixel_values, image_grid_thw).pooler_output
        maps = []
        for tokens, (rows, columns) in zip(features, grids, strict=True):
            split = self.cover(tokens).float().view(rows, columns, QUARTERS, QUARTERS, -1)
            fine = split.permute(0, 2, 1, 3, 4)
            maps.append(fine.reshape(QUARTERS * rows, QUARTERS * columns, -1))
        return maps, [self.place(tokens).float() for tokens in features]


class SeeingTrainer(Trainer):
    """Logs the hit rate beside the loss."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._hits: list[float] = []

    def compute_loss(  # type: ignore[override]
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any
    ) -> Any:
        """See `SeeingModel.forward`."""
        outputs = model(**inputs)
        if torch.isfinite(outputs["hit"]):
            self._hits.append(float(outputs["hit"]))
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the mean hit rate since the last log."""
        hits = {"hit": sum(self._hits) / len(self._hits)} if self._hits else {}
        self._hits.clear()
        super().log({**logs, **hits}, *args, **kwargs)


def pretrain_vision(
    start: Path,
    out: Path,
    pictures: Sequence[LabelledPicture],
    weights: dict[str, float],
    config: VisionConfig,
) -> Path:
    """Train a checkpoint's vision tower; continues a run that was broken off.

    Args:
        start: Checkpoint to start from.
        out: Run folder.
        pictures: The corpus.
        weights: Weight of each set.
        config: Settings.

    Returns:
        The checkpoint's folder, with everything but the vision tower as in `start`.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(config.model_dump_json(indent=1), encoding="utf-8")
    processor = AutoProcessor.from_pretrained(start)
    model = AutoModelForImageTextToText.from_pretrained(start, dtype=torch.float32)
    targets = sorted({name for picture in pictures for name in picture.targets})
    model.requires_grad_(False)
    model.model.visual.requires_grad_(True)
    seeing = SeeingModel(model.model, model.config.text_config.hidden_size, len(targets))
    trainer = SeeingTrainer(
        model=seeing,
        args=_arguments(out, config),
        data_collator=CoverageCollator(processor, targets),
        train_dataset=DrawnPictures(pictures, weights, config),
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(out)))
    folder = out / "model"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / PROFILE_FILE).write_bytes((start / PROFILE_FILE).read_bytes())
    return folder


def _coverage_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy over all known targets, and soft Dice over those that are there."""
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, 1.0 + 4.0 * truth)
    there = truth.flatten(0, 1).amax(0) > 0.1
    if not there.any():
        return entropy
    sure, true = logits.sigmoid().flatten(0, 1)[:, there], truth.flatten(0, 1)[:, there]
    dice = (2 * (sure * true).sum(0) + 0.1) / ((sure**2).sum(0) + (true**2).sum(0) + 0.1)
    return entropy + (1 - dice).mean()


def _place_loss(place: Tensor, grid: tuple[int, int]) -> Tensor:
    rows, columns = ((torch.arange(n, device=place.device) + 0.5) / n for n in grid)
    return functional.mse_loss(place, torch.cartesian_prod(rows, columns))


def _arguments(out: Path, config: VisionConfig) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(out),
        max_steps=config.steps,
        per_device_train_batch_size=config.batch,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(200, config.steps // 10),
        weight_decay=0.05,
        max_grad_norm=1.0,
        adam_beta2=0.98,
        logging_steps=25,
        save_steps=config.save_every,
        save_total_limit=2,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        report_to=["tensorboard"],
        remove_unused_columns=False,
        dataloader_num_workers=1,  # draws pictures while the model learns
        seed=config.seed,
    )
