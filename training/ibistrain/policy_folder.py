"""The result of a run: a folder that inference opens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from ibisagent.policies.checkpoint_source import ADAPTER_FILE
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
        merge: Whether to merge a LoRA adapter into its base; it is kept as ``adapter/``. Without,
            the result is the adapter.
    """
    saved = folder.path / "saved"
    shutil.rmtree(saved, ignore_errors=True)
    trainer.save_model(str(saved))
    if not trainer.is_world_process_zero():
        return folder.model
    for name in _TRAINING_ONLY:
        (saved / name).unlink(missing_ok=True)
    text = yaml.safe_dump(profile.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    (saved / PROFILE_FILE).write_text(text, encoding="utf-8")
    if (saved / ADAPTER_FILE).is_file() and merge:
        merge_adapter(_moved(saved, folder.path / "adapter"), folder.model)
    else:
        _moved(saved, folder.model)
    if not (folder.model / ADAPTER_FILE).is_file():
        _keep_generation(start, folder.model)
    return folder.model


def _moved(source: Path, place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    return source.rename(place)


def _keep_generation(start: Path, out: Path) -> None:
    """The start's settings for generation: the trainer sets its own for the time of training."""
    if (start / "generation_config.json").is_file():
        fields = json.loads((start / "generation_config.json").read_text(encoding="utf-8"))
        (out / "generation_config.json").write_text(json.dumps(fields, indent=1), encoding="utf-8")
