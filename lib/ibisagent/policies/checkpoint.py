"""Loads a checkpoint: model, processor, and the prompt profile it brings.

A folder with ``adapter_config.json`` is a LoRA adapter: its base is loaded first, and the adapter
put on it. Weights are read from safetensors only, and code that comes with a checkpoint is never
run.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.errors import IBISAgentError, ModelNotFound
from ibisagent.policies.checkpoint_source import ADAPTER_FILE, CheckpointSource
from ibisagent.policies.optional_package import require_package
from ibisagent.policies.placement import choose_attention, choose_placement, weight_bytes
from ibisagent.prompts import PROFILE_FILE, PromptProfile, load_profile

logger = logging.getLogger(__name__)

_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
_COMPLETE = (
    "Give a folder with config.json, *.safetensors, tokenizer and processor files, or a hub name "
    "that this machine can reach."
)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a policy needs of a checkpoint.

    Attributes:
        model: In evaluation mode, where it shall run.
        processor: Turns chat and pictures into tensors, and tokens into text.
        profile: The words that the checkpoint has learnt, if it brings them.
        label: Identity for trajectories and logs.
    """

    model: Any
    processor: Any
    profile: PromptProfile | None
    label: str


def load_checkpoint(spec: str, device: str = "auto", four_bit: bool = False) -> Checkpoint:
    """Load a checkpoint or a LoRA adapter with its base.

    Args:
        spec: See `CheckpointSource.parse`.
        device: See `choose_placement`.
        four_bit: Likewise.

    Raises:
        ModelNotFound: It does not exist, is incomplete, or is of another kind.
        DeviceUnavailable: The device is not there.
        MissingPackage: An adapter needs peft; for others see `choose_placement`.
        InvalidProfile: The checkpoint's own prompt profile is broken.
    """
    source = CheckpointSource.parse(spec)
    folder = source.folder()
    if (folder / ADAPTER_FILE).is_file():
        return _load_adapter(folder, source.label(folder), device, four_bit)
    processor = _load_processor(folder)
    model = _load_model(folder, device, four_bit)
    label = source.label(folder)
    logger.info("loaded %s on %s as %s", label, model.device, model.dtype)
    return Checkpoint(model, processor, own_profile(folder), label)


def own_profile(folder: Path) -> PromptProfile | None:
    """The profile that a checkpoint folder brings, if it brings one."""
    return load_profile(folder) if (folder / PROFILE_FILE).is_file() else None


def _load_processor(folder: Path) -> Any:
    try:
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # a broken file fails in the loader of its own format
        raise _unusable(folder, error) from error
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None or not getattr(processor, "chat_template", None):
        raise ModelNotFound(
            f"The checkpoint {folder.name} has no processor with a chat template.",
            "Give an instruction-tuned checkpoint that reads pictures and text.",
        )
    if tokenizer.pad_token is None:  # some families never needed one, as they never batched
        tokenizer.pad_token = tokenizer.eos_token
    return processor


def _load_model(folder: Path, device: str, four_bit: bool) -> Any:
    placement = choose_placement(weight_bytes(folder), device, four_bit)
    try:
        model, report = _from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **placement.loading,
        )
    except Exception as error:
        raise _unusable(folder, error) from error
    _require_all_weights(folder, report["missing_keys"])
    if placement.move_to is not None:
        model = model.to(placement.move_to)
    choose_attention(model)
    return model.eval()


_from_pretrained: Any = AutoModelForImageTextToText.from_pretrained
"""Its annotation knows nothing of the pair that `output_loading_info` makes it return."""


def _load_adapter(folder: Path, label: str, device: str, four_bit: bool) -> Checkpoint:
    require_package("peft", "A LoRA adapter", "merge the adapter into its base")
    base = load_checkpoint(_base_of(folder), device, four_bit)
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelNotFound(
            f"The adapter {folder.name} has no adapter_model.safetensors.",
            "Save the adapter with safe serialisation; pickled weights are not read.",
        )
    try:
        report = base.model.load_adapter(str(folder))
    except Exception as error:
        raise _unusable(folder, error) from error
    _require_all_weights(folder, report.missing_keys)
    brings_processor = any((folder / name).is_file() for name in _PROCESSOR_FILES)
    processor = _load_processor(folder) if brings_processor else base.processor
    profile = own_profile(folder) or base.profile
    return Checkpoint(base.model.eval(), processor, profile, f"{label} on {base.label}")


def _base_of(adapter: Path) -> str:
    """The base that an adapter names: a folder beside it, a folder, or a hub name."""
    try:
        config = json.loads((adapter / ADAPTER_FILE).read_text(encoding="utf-8"))
        name, revision = str(config["base_model_name_or_path"]), config.get("revision")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelNotFound(
            f"The adapter {adapter.name} does not say what its base is.",
            f"Name the base as base_model_name_or_path in its {ADAPTER_FILE}.",
        ) from error
    if (adapter / name).is_dir():
        return str(adapter / name)
    if Path(name).is_dir() or not revision:
        return name
    return f"{name}@{revision}"


def _require_all_weights(folder: Path, missing: set[str]) -> None:
    """What is missing would be filled with random numbers, without a word."""
    if missing:
        raise ModelNotFound(
            f"The weights of {folder.name} are incomplete: {len(missing)} are missing, the first "
            f"is {min(missing)}.",
            "Copy the checkpoint again; it may also be of another architecture than it says.",
        )


def _unusable(folder: Path, error: Exception) -> IBISAgentError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ModelNotFound(f"No usable checkpoint at {folder}: {lines[0]}", _COMPLETE)
