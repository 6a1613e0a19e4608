"""From a training run to a checkpoint that others load.

Published are float16 safetensors, configuration, tokenizer, processor, prompt profile and a
model card, and the read-outs, with which others can go on training; all else that training needed
and inference does not stays behind. The folder appears whole or not at all.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.errors import InvalidRequest, ModelNotFound
from ibisagent.prompts import PROFILE_FILE
from ibistrain.read_outs import load_read_outs, write_read_outs

CARD = "README.md"
"""Where readers, and model hubs, look for a model card."""


def publish(checkpoint: Path, out: Path, card: str) -> None:
    """Write a checkpoint for use.

    Args:
        checkpoint: Result of a training run.
        out: Folder to write; a published checkpoint that stands there is replaced.
        card: The model card, Markdown.

    Raises:
        ModelNotFound: There is no finished checkpoint, or its read-outs are damaged.
        InvalidRequest: `out` exists and is something else than a checkpoint.
    """
    if not (checkpoint / "config.json").is_file():
        raise ModelNotFound(
            f"There is no finished checkpoint in {checkpoint}.", "Name the model/ folder of a run."
        )
    if out.exists() and not (out / "config.json").is_file():
        raise InvalidRequest(
            f"{out} exists and is no checkpoint.", "Name a folder that may be replaced."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        _write(checkpoint, new, card)
        new.chmod(0o755)
        _replace(new, out)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _write(checkpoint: Path, folder: Path, card: str) -> None:
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float16)
    model.save_pretrained(folder)
    AutoProcessor.from_pretrained(checkpoint).save_pretrained(folder)
    if (checkpoint / PROFILE_FILE).is_file():
        shutil.copyfile(checkpoint / PROFILE_FILE, folder / PROFILE_FILE)
    heads = load_read_outs(checkpoint)
    if heads is not None:
        write_read_outs(heads, folder, torch.float16)
    (folder / CARD).write_text(card, encoding="utf-8")
    for file in folder.iterdir():
        file.chmod(0o644)


def _replace(new: Path, out: Path) -> None:
    """Put `new` in the place of `out`; on failure the old one is put back."""
    old = out.with_name(f".{out.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    try:
        new.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
