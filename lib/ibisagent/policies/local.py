"""A policy that runs a vision-language model on this machine, through transformers.

Any checkpoint that `AutoModelForImageTextToText` and `AutoProcessor` load will do: the tiny
default, IBIS and its base Qwen2.5-VL, and others. Nothing here knows which.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.errors import ModelNotFound
from ibisagent.policies.base import Observation
from ibisagent.prompts import PROFILE_FILE, PromptProfile, load_profile
from ibisagent.torch_device import resolve_device

logger = logging.getLogger(__name__)

MAX_NEW_TOKENS = 512
"""Length limit of a reply; the published evaluation's (arXiv 2601.03054)."""


class LocalPolicy:
    """Replies by greedy generation with a checkpoint in memory.

    Args:
        checkpoint: Folder with weights, configuration, tokenizer and processor, or a hub name.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        max_new_tokens: Length limit of a reply.
        temperature: 0 for greedy; above 0 to sample (seed torch beforehand to reproduce).

    Raises:
        ModelNotFound: The checkpoint does not exist or is incomplete.
        DeviceUnavailable: The device is not there.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        device: str = "auto",
        max_new_tokens: int = MAX_NEW_TOKENS,
        temperature: float = 0.0,
    ) -> None:
        self._device = resolve_device(device)
        self._processor, self._model = _load(str(checkpoint), self._device)
        self._max_new_tokens = max_new_tokens
        self._temperature = temperature
        self.name = f"local:{Path(checkpoint).name}"
        self.profile = _own_profile(Path(checkpoint))

    def replies(self, observations: Sequence[Observation]) -> list[str]:
        """One reply an observation, generated as one batch."""
        texts = [
            self._processor.apply_chat_template(
                seen.messages, tokenize=False, add_generation_prompt=True
            )
            for seen in observations
        ]
        pictures = [[Image.fromarray(picture) for picture in o.pictures] for o in observations]
        inputs = self._processor(
            text=texts, images=pictures, return_tensors="pt", padding=True, padding_side="left"
        ).to(self._device)
        with torch.inference_mode():
            output = self._model.generate(**inputs, **self._sampling())
        new = output[:, inputs["input_ids"].shape[1] :]
        decoded: list[str] = self._processor.batch_decode(new, skip_special_tokens=True)
        return decoded

    def _sampling(self) -> dict[str, Any]:
        options: dict[str, Any] = {"max_new_tokens": self._max_new_tokens}
        if self._temperature > 0:
            return {**options, "do_sample": True, "temperature": self._temperature}
        return {**options, "do_sample": False}


def _load(checkpoint: str, device: torch.device) -> tuple[Any, Any]:
    dtype = "auto" if device.type == "cuda" else torch.float32
    try:
        processor = AutoProcessor.from_pretrained(checkpoint)
        model, report = AutoModelForImageTextToText.from_pretrained(
            checkpoint, dtype=dtype, use_safetensors=True, output_loading_info=True
        )
        _refuse_gaps(processor, report)
    except Exception as error:  # each file of a checkpoint is read by a library with its own types
        raise ModelNotFound(
            f"No usable checkpoint at {checkpoint}: {_first_line(error)}",
            "Give a folder with config.json, *.safetensors, tokenizer and processor files, or a "
            "hub name that this machine can reach.",
        ) from error
    logger.info("loaded %s on %s", checkpoint, device)
    return processor, model.to(device).eval()


def _refuse_gaps(processor: Any, report: dict[str, Any]) -> None:
    """Transformers loads these with a warning; the replies would be noise, or fail later."""
    if missing := sorted(report["missing_keys"]):
        raise ValueError(f"{len(missing)} weights are missing, {missing[0]} among them.")
    if not processor.chat_template:
        raise ValueError("it has no chat template.")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _own_profile(checkpoint: Path) -> PromptProfile | None:
    """The profile that the checkpoint brings, if it brings one."""
    return load_profile(checkpoint) if (checkpoint / PROFILE_FILE).is_file() else None
