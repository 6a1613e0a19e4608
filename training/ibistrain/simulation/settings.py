"""What is to be simulated; a YAML file with these fields is what ``ibistrain simulate`` takes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ibisagent.slices import Plane
from ibistrain.episode_record import SHARD_SIZE, Form


class Shares(BaseModel):
    """Shares of the kinds of episodes; the rest is plain."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    self_correction: float = Field(default=0.15, ge=0, le=1)
    user_inconsistency: float = Field(default=0.10, ge=0, le=1)
    absent: float = Field(default=0.10, ge=0, le=1)
    question: float = Field(default=0.15, ge=0, le=1)
    question_absent: float = Field(
        default=0.5, ge=0, le=1, description="Share of the questions whose answer is no."
    )
    strange: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Share of the absent targets that images of the set never show at all, where "
        "the catalogue knows of any.",
    )
    mask_of_absent: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Share of the wrong starting masks that come with an absent target.",
    )

    @model_validator(mode="after")
    def _leave_room(self) -> Shares:
        if self.self_correction + self.user_inconsistency + self.absent + self.question > 1:
            raise ValueError("the shares of the kinds are more than 1 together")
        return self


class SimulationSettings(BaseModel):
    """All that decides what is simulated, apart from the data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sets: tuple[str, ...] = Field(
        default=(),
        description="Folders of labelled sets below the data's root; all if empty. '.' is the "
        "root itself.",
    )
    held_back: bool = Field(default=False, description="Held-back subjects instead of the others.")
    planes: dict[Plane, int] = Field(
        default={},
        description="Plane of volumes -> step between slices; as in the catalogue if empty, and "
        "every second axial slice of sets that are not in it.",
    )
    window: str = Field(default="auto", description="As for inference.")
    min_pixels: int = Field(default=30, ge=1, description="Least pixels of a target on a slice.")
    per_label: int = Field(default=100, ge=1, description="Most episodes of one target of a set.")
    episodes: int | None = Field(default=None, ge=1, description="Most episodes; None for all.")
    repeats: int = Field(
        default=1, ge=1, description="How often a target on a slice may be played, each time anew."
    )
    shares: Shares = Shares()
    stop_iou: float = Field(default=0.85, gt=0, le=1, description="IoU that is good enough.")
    max_clicks: int = Field(default=8, ge=1, description="Most clicks an episode.")
    keep_iou: float = Field(
        default=0.5, ge=0, le=1, description="Episodes that end below this IoU are dropped."
    )
    policy: str = Field(
        default="",
        description="Policy, as for load_policy, that plays in the annotator's stead; what it "
        "writes carries no loss, and the states that it comes to are kept whatever their IoU.",
    )
    tool: str = Field(default="embedded", description="Segmentation tool, as for inference.")
    device: str = Field(default="auto", description="Device of tool and policy.")
    profile: str = Field(
        default="default",
        description="Prompt profile, by name or file; that of a policy's checkpoint goes before.",
    )
    teacher: str = Field(
        default="", description="ADDRESS#MODEL of a server that rewords the thoughts; or nothing."
    )
    form: Form = Field(default="jsonl", description="jsonl or parquet.")
    shard_size: int = Field(default=SHARD_SIZE, ge=1, description="Tasks a shard.")
    seed: int = Field(default=0, description="The same seed and data give the same bytes.")
