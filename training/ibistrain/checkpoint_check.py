"""Whether a folder is a checkpoint that may be released: whole, safe to load, ready to ask."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ibisagent.errors import ModelNotFound
from ibisagent.prompts import PROFILE_FILE, load_profile
from ibistrain.read_outs import READ_OUTS_FILE

_PICKLED = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}
_OF_THE_TRAINER = ("training_args", "optimizer", "scheduler", "scaler", "rng_state")
"""Pickled files that trainers leave beside the weights; they are not weights, and stay behind."""
_RELEASED = {".safetensors", ".json", ".jinja", ".txt", ".model", ".yaml"}
_STAY = {"trainer_state.json", READ_OUTS_FILE}
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def check_checkpoint(folder: Path) -> None:
    """Refuse what inference could not load, or not load safely.

    Raises:
        ModelNotFound: A part is missing or damaged, or weights are pickled: loading such a file
            runs whatever code is in it.
        InvalidProfile: The prompts are not valid.
    """
    _require(folder, ["config.json"], "configuration", "Name the folder that training returned.")
    if (folder / "adapter_config.json").is_file():
        raise _refused(folder, "is an adapter", "Merge it into its base model first.")
    pickled = [file.name for file in _files(folder) if _is_pickled_weights(file)]
    if pickled:
        raise _refused(
            folder, f"has pickled weights ({pickled[0]})", "Save the model as safetensors."
        )
    _check_weights(folder)
    _require(folder, _TOKENIZERS, "tokenizer", "Save the tokenizer beside the weights.")
    _require(folder, _PROCESSORS, "processor", "Save the processor beside the weights.")
    _require(
        folder, [PROFILE_FILE], "prompts", f"Copy the profile it was trained on, {PROFILE_FILE}."
    )
    load_profile(folder)


def is_part_of_release(file: Path) -> bool:
    """Whether inference, or a reader, has a use for a checkpoint's file."""
    return file.is_file() and file.suffix in _RELEASED and file.name not in _STAY


def _check_weights(folder: Path) -> None:
    found = {file.name for file in _files(folder) if file.suffix == ".safetensors"}
    index = folder / "model.safetensors.index.json"
    wanted = {"model.safetensors"}
    if index.is_file():
        wanted = set(_json(index).get("weight_map", {}).values())
    missing = sorted(wanted - found)
    if missing or not wanted:
        name = missing[0] if missing else "any shard"
        raise _refused(folder, f"lacks {name}", "Save the model as safetensors.")
    for name in sorted(wanted):
        try:
            with safe_open(folder / name, framework="pt") as weights:
                empty = not list(weights.keys())
        except (OSError, SafetensorError) as error:
            raise _refused(folder, f"has damaged weights ({name})", "Train again.") from error
        if empty:
            raise _refused(folder, f"has no weights in {name}", "Save the model again.")


def _json(file: Path) -> dict[str, dict[str, str]]:
    try:
        content: dict[str, dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
        return content
    except (OSError, ValueError) as error:
        raise _refused(file.parent, f"has a damaged {file.name}", "Save it again.") from error


def _is_pickled_weights(file: Path) -> bool:
    return file.suffix in _PICKLED and not file.name.startswith(_OF_THE_TRAINER)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _require(folder: Path, names: list[str] | tuple[str, ...], what: str, fix: str) -> None:
    if not any((folder / name).is_file() for name in names):
        raise _refused(folder, f"has no {what}", fix)


def _refused(folder: Path, what: str, fix: str) -> ModelNotFound:
    return ModelNotFound(f"The checkpoint {folder.name} {what}.", fix)
