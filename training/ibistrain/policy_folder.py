"""The result of a run: a folder that inference opens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from ibisagent.policies.checkpoint import ADAPTER_FILE
from ibisagent.prompts import PROFILE_FILE, PromptProfile
from ibistrain.adapters import merge_adapter
from ibistrain.run_folder import RunFolder

_TRAINING_ONLY = ("training_args.bin", "README.md")


def write_policy(
    trainer: Any, start: Path, profile: PromptProfile, folder: RunFolder, merge: bool
) -> Path:
    """Write what was trained: weights, configuration, tokenizer, processor and prompt profile.

    Weights are saved by the trainer, which knows how they are spread over devices.

    Args:
        trainer: A `transformers.Trainer`, after training.
        start: The checkpoint it started from, whose settings for generation are kept.
        profile: The prompt profile that goes with it.
        folder: The run's folder; the result is its ``model/``.
        merge: Whether to merge a LoRA adapter into its base; without, the folder is an adapter.
    """
    out = folder.model
    raw = folder.path / "adapter" if merge else out
    shutil.rmtree(raw, ignore_errors=True)
    trainer.save_model(str(raw))
    if not trainer.is_world_process_zero():
        return out
    for name in _TRAINING_ONLY:
        (raw / name).unlink(missing_ok=True)
    text = yaml.safe_dump(profile.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    (raw / PROFILE_FILE).write_text(text, encoding="utf-8")
    if (raw / ADAPTER_FILE).is_file() and merge:
        merge_adapter(raw, out)
    elif merge:
        shutil.rmtree(out, ignore_errors=True)
        raw.rename(out)
    if not (out / ADAPTER_FILE).is_file():
        _keep_generation(start, out)
    return out


def _keep_generation(start: Path, out: Path) -> None:
    """The start's settings for generation: the trainer sets its own for the time of training."""
    if (start / "generation_config.json").is_file():
        fields = json.loads((start / "generation_config.json").read_text(encoding="utf-8"))
        (out / "generation_config.json").write_text(json.dumps(fields, indent=1), encoding="utf-8")
