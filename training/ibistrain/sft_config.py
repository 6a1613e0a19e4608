"""Settings of supervised fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ibistrain.adapters import LoraSettings


class SftConfig(BaseModel):
    """One run of fine-tuning; a YAML file with these fields is what ``ibistrain sft`` takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(description="Checkpoint to start from, as for load_policy.")
    out: Path = Field(description="Folder of the run; an interrupted one is continued.")
    episodes: Path = Field(description="Simulated episodes: a folder of shards, or one shard.")
    data: Path = Field(description="Folder that the episodes' image paths are relative to.")
    prompts: str = Field(default="", description="Prompt profile; the checkpoint's if empty.")
    history: bool | None = Field(
        default=None,
        description="Whether a dialogue shows earlier turns; as the profile says if not given. "
        "The result's profile says the same.",
    )
    stop_weight: int = Field(
        default=0,
        ge=0,
        description="Without history: how often a turn that stops at a mask is shown; 0 for about "
        "as often as turns that correct one. The likeliest word decides: of rare stops, none is.",
    )

    epochs: float = Field(default=3.0, gt=0, description="Passes over the data.")
    steps: int = Field(default=0, ge=0, description="Optimiser steps; above 0 instead of epochs.")
    batch: int = Field(default=8, gt=0, description="Dialogues a step and device.")
    at_once: int = Field(default=0, ge=0, description="Dialogues a backward pass; 0 for all.")
    learning_rate: float = Field(default=1e-5, gt=0)
    max_pixels: int | None = Field(default=None, gt=0, description="Largest picture.")

    lora: LoraSettings | None = Field(default=None, description="None trains all weights.")
    merge: bool = Field(default=True, description="Whether the result is merged into its base.")
    train_vision: bool = Field(default=False, description="Whether the vision tower learns too.")
    bf16: bool = Field(default=False, description="Mixed precision.")
    gradient_checkpointing: bool = False
    workers: int = Field(default=0, ge=0, description="Processes that prepare batches.")
    log_every: int = Field(default=5, gt=0)
    save_every: int = Field(default=100, gt=0)
    seed: int = 0
    trl: dict[str, Any] = Field(default={}, description="More options of trl.SFTConfig.")

    @model_validator(mode="after")
    def _parts_are_whole(self) -> SftConfig:
        if self.at_once and self.batch % self.at_once:
            raise ValueError("at_once must divide batch")
        return self
