"""LoRA adapters: what is trained of a large model, and how it becomes part of it again."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.errors import ModelNotFound
from ibisagent.policies.checkpoint_source import ADAPTER_FILE
from ibisagent.prompts import PROFILE_FILE

EYES = r".*(visual|vision_tower|vision_model|multi_modal_projector|mlp1).*"
"""Where the vision towers of the families lie."""


class LoraSettings(BaseModel):
    """A low-rank adapter (Hu et al., arXiv 2106.09685); the paper's has rank 8."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(default=8, gt=0)
    alpha: int = Field(default=16, gt=0, description="Scale; its effect is alpha / rank.")
    dropout: float = Field(default=0.05, ge=0, lt=1)


def lora_config(settings: LoraSettings, train_vision: bool) -> Any:
    """The `peft.LoraConfig`: all linear layers but the head, of the vision tower only if asked."""
    from peft import LoraConfig  # loads slowly

    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        exclude_modules=None if train_vision else EYES,
        task_type="CAUSAL_LM",
    )


def freeze_eyes(model: Any) -> int:
    """Freeze the vision tower; returns the number of tensors that were frozen.

    Raises:
        ModelNotFound: The model has no vision tower where one is known to lie.
    """
    import re

    frozen = [p for name, p in model.named_parameters() if re.fullmatch(EYES, name)]
    if not frozen:
        raise ModelNotFound(
            f"No vision tower was found in {type(model).__name__}, so it cannot be frozen.",
            "Set train_vision: true, or give a checkpoint of a supported family.",
        )
    for parameter in frozen:
        parameter.requires_grad_(False)
    return len(frozen)


def merge_adapter(adapter: Path, out: Path) -> None:
    """Write base and adapter as one checkpoint; `out` appears whole or not at all.

    Args:
        adapter: Folder with ``adapter_config.json``, which names the base by a path or hub name.
        out: Folder to write; one that stands there is replaced.

    Raises:
        ModelNotFound: The base is not there.
    """
    from peft import PeftModel

    fields = json.loads((adapter / ADAPTER_FILE).read_text(encoding="utf-8"))
    base = str(fields["base_model_name_or_path"])
    base = str(adapter / base) if (adapter / base).is_dir() else base
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            base, dtype=torch.float32, use_safetensors=True, revision=fields.get("revision")
        )
    except (OSError, ValueError) as error:
        raise ModelNotFound(
            f"The adapter {adapter.name} is of {base}, which cannot be loaded.",
            "Put the base where the adapter's adapter_config.json says.",
        ) from error
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    out.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        merged.save_pretrained(new)
        brings = (adapter / "processor_config.json").is_file()
        AutoProcessor.from_pretrained(adapter if brings else base).save_pretrained(new)
        for place in (adapter, Path(base)):
            if (place / PROFILE_FILE).is_file():
                shutil.copyfile(place / PROFILE_FILE, new / PROFILE_FILE)
                break
        new.chmod(0o755)
        shutil.rmtree(out, ignore_errors=True)
        new.rename(out)
    finally:
        shutil.rmtree(new, ignore_errors=True)
