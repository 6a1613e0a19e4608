"""Settings of reinforcement learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ibistrain.adapters import LoraSettings
from ibistrain.rewards import RewardWeights


class RlConfig(BaseModel):
    """One run of agentic GRPO; a YAML file with these fields is what ``ibistrain rl`` takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(description="Checkpoint to start from, as for load_policy.")
    out: Path = Field(description="Folder of the run; an interrupted one is continued.")
    data: Path = Field(description="Folder of labelled sets, or root of the episodes' images.")
    episodes: Path | None = Field(
        default=None, description="Simulated episodes whose beginnings are the tasks."
    )
    sets: tuple[str, ...] = Field(
        default=(),
        description="Without episodes: sets in `data`; all of the catalogue if empty.",
    )
    absent: float = Field(
        default=0.1, ge=0, le=1, description="Without episodes: share of absent targets."
    )
    random_truths: bool = Field(
        default=False,
        description="Judge by truths that have nothing to do with the pictures: the control "
        "against reward hacking, in which nothing may be gained.",
    )
    tool: str = Field(default="embedded", description="Segmentation tool, as for load_tool.")
    prompts: str = Field(default="", description="Prompt profile; the checkpoint's if empty.")

    steps: int = Field(default=1000, gt=0, description="Optimiser steps.")
    group: int = Field(default=4, gt=1, description="Actions tried on each state (G).")
    states: int = Field(default=8, gt=0, description="States a step and device.")
    at_once: int = Field(default=0, ge=0, description="Samples a backward pass; 0 for all.")
    learning_rate: float = Field(default=1e-6, gt=0)
    beta: float = Field(default=0.0, ge=0, description="Weight of the KL term; the paper has none.")
    clip: float = Field(default=0.2, gt=0, description="Clip range of the ratio.")
    clip_high: float | None = Field(default=None, gt=0, description="Upper one, if another.")
    temperature: float = Field(default=1.0, gt=0)
    reply_tokens: int = Field(default=192, gt=0, description="Longest reply.")
    max_pixels: int | None = Field(default=None, gt=0, description="Largest picture.")

    max_turns: int = Field(default=8, gt=0, description="Actions an episode.")
    fresh: float = Field(default=0.5, gt=0, le=1, description="Share of new episodes' states.")
    ahead: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of new episodes that begin after clicks of the scripted annotator.",
    )
    kept: int = Field(default=64, gt=0, description="Most successor states kept.")
    rewards: RewardWeights = RewardWeights()

    lora: LoraSettings | None = Field(default=None, description="None trains all weights.")
    merge: bool = Field(default=True, description="Whether the result is merged into its base.")
    train_vision: bool = Field(default=False, description="Whether the vision tower learns too.")
    bf16: bool = Field(default=False, description="Mixed precision.")
    gradient_checkpointing: bool = False
    log_every: int = Field(default=5, gt=0)
    save_every: int = Field(default=50, gt=0)
    seed: int = 0
    trl: dict[str, Any] = Field(
        default={},
        description="More options of trl.GRPOConfig, for example use_vllm and vllm_mode: server.",
    )

    @model_validator(mode="after")
    def _parts_are_whole(self) -> RlConfig:
        if self.at_once and (self.states * self.group) % self.at_once:
            raise ValueError("at_once must divide states times group")
        return self

    @property
    def samples(self) -> int:
        """Samples a step and device."""
        return self.states * self.group
