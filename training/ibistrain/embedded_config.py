"""Settings of one run of the embedded policy's training."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EmbeddedConfig(BaseModel):
    """Settings of one run; written into the run's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=6000, gt=0, description="Optimiser steps.")
    batch: int = Field(default=8, gt=0, description="Pictures at once.")
    batches: int = Field(default=1, gt=0, description="Batches a step.")
    learning_rate: float = Field(default=1e-3, gt=0)
    minutes: float | None = Field(
        default=None, gt=0, description="The run ends after that long if it has not yet."
    )
    warmup: int = Field(default=200, ge=0, description="Steps up to the highest learning rate.")
    questions: int = Field(
        default=5, ge=0, description="Most questions a picture; 0 teaches only to see."
    )
    absent: float = Field(
        default=0.4, ge=0, le=1, description="Chance of a question for what is not there."
    )
    strange: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Chance of a question for what pictures of its kind never show.",
    )
    refinement: float = Field(
        default=1.0, ge=0, le=1, description="Share of batches that are asked again with masks."
    )
    taught: float = Field(
        default=0.3, ge=0, le=1, description="Share of batches that the tool's encoder explains."
    )
    strength: float = Field(default=1.0, ge=0, description="Of the augmentation.")
    seed: int = 0
    save_every: int = Field(default=500, gt=0, description="Steps between checkpoints.")
