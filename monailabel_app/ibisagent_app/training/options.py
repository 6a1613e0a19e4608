"""What a client may decide about a training; MONAI Label clients show it as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ibisagent.errors import InvalidRequest
from ibisagent_app.task_options import OF_ALL_TASKS

OF_MONAILABEL = OF_ALL_TASKS | {"local_rank", "model"}
"""Fields that MONAI Label and its clients add to a request."""

SFT, RL, BOTH = "ibisagent_sft", "ibisagent_rl", "ibisagent"

STAGES: dict[str, tuple[str, ...]] = {BOTH: ("sft", "rl"), SFT: ("sft",), RL: ("rl",)}
"""Name of a trainer -> what it does between simulation and evaluation. `BOTH` comes first: the
stock client shows the progress of the first trainer only."""


class TrainingOptions(BaseModel):
    """How to train; the defaults suit the embedded policy on a laptop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_steps: int = Field(default=300, ge=1, le=100_000, description="Steps of fine-tuning.")
    rl_steps: int = Field(
        default=60, ge=1, le=100_000, description="Steps of reinforcement learning."
    )
    learning_rate: float = Field(default=1e-4, gt=0, le=0.1, description="Of fine-tuning.")
    rl_learning_rate: float = Field(
        default=1e-5, gt=0, le=0.1, description="Of reinforcement learning."
    )
    batch_size: int = Field(default=4, ge=1, le=512, description="Turns a step of fine-tuning.")
    lora_rank: int = Field(
        default=0, ge=0, le=256, description="Rank of the adapters; 0 trains all weights."
    )
    episodes: int = Field(
        default=300, ge=4, le=1_000_000, description="Simulated episodes to learn from."
    )
    stop_iou: float = Field(
        default=0.7, gt=0, le=1, description="IoU from which the simulated annotator is content."
    )
    max_questions: int = Field(
        default=60, ge=1, le=10_000, description="Most questions about held-back studies."
    )
    seed: int = Field(default=0, ge=0, description="Of every random choice.")


def client_options(task: str) -> dict[str, Any]:
    """The options that a trainer heeds, with their defaults."""
    unused = _UNUSED.get(task, frozenset())
    return {name: value for name, value in TrainingOptions() if name not in unused}


_UNUSED = {
    SFT: frozenset({"rl_steps", "rl_learning_rate"}),
    RL: frozenset({"max_steps", "learning_rate", "batch_size", "episodes", "stop_iou"}),
}


def parse_options(task: str, request: Mapping[str, Any]) -> TrainingOptions:
    """The options in a client's request.

    Args:
        task: Name of the trainer.
        request: Options by name, beside fields of MONAI Label; numbers may come as text, an
            empty text counts as not given.

    Raises:
        InvalidRequest: With the first field that is unknown or does not fit.
    """
    given = {name: request[name] for name in request if name not in OF_MONAILABEL}
    known = client_options(task)
    for name in given:
        if name not in known:
            raise InvalidRequest(
                f"The trainer {task} has no option {name!r}.", f"Options: {', '.join(known)}."
            )
    try:
        return TrainingOptions.model_validate(
            {name: value for name, value in given.items() if value not in ("", None)}
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        description = TrainingOptions.model_fields[name].description
        raise InvalidRequest(
            f"The option {name!r} does not fit: {first['msg']}.", f"{name}: {description}"
        ) from error
