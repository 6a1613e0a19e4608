"""What a training run starts from: any checkpoint that inference loads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.errors import IBISAgentError, ModelNotFound
from ibisagent.policies import EMBEDDED, embedded_checkpoint
from ibisagent.policies.checkpoint import own_profile
from ibisagent.policies.checkpoint_source import ADAPTER_FILE, CheckpointSource
from ibisagent.policies.policy_spec import PolicySpec
from ibisagent.prompts import PromptProfile, load_profile
from ibistrain.adapters import merge_adapter


@dataclass(frozen=True, eq=False)
class StartModel:
    """Model and what goes with it.

    Attributes:
        model: In memory, on the CPU; the trainer moves it.
        processor: Turns chat and pictures into tensors.
        profile: The words that the policy will be asked with.
    """

    model: Any
    processor: Any
    profile: PromptProfile


def start_folder(spec: str, run: Path) -> Path:
    """Folder of the checkpoint to start from; a LoRA adapter is merged into its base first.

    Args:
        spec: As for `ibisagent.policies.load_policy`, servers excepted.
        run: The run's folder, in which a merged checkpoint is kept as ``start``.

    Raises:
        ModelNotFound: There is no such checkpoint.
    """
    where = PolicySpec.parse(spec).where  # its options are for inference
    folder = embedded_checkpoint() if where == EMBEDDED else CheckpointSource.parse(where).folder()
    if not (folder / ADAPTER_FILE).is_file():
        return folder
    merged = run / "start"
    if not merged.is_dir():
        merge_adapter(folder, merged)
    return merged


def load_start(
    folder: Path, prompts: str = "", half: bool = False, weights: Path | None = None
) -> StartModel:
    """Load a checkpoint to be trained.

    Args:
        folder: The checkpoint.
        prompts: Prompt profile by name or file; empty for the one the checkpoint brings, or the
            default.
        half: Whether to hold the weights in bfloat16, which does for the base of an adapter;
            training all of them needs float32.
        weights: A checkpoint of an interrupted run, from which the weights are taken instead.
            The trainer cannot be left to do this: it compares names on disk, which are those of
            the hub's layout, with those in memory, finds none, and goes on with what it has.

    Raises:
        ModelNotFound: It is incomplete or of another kind.
        InvalidProfile: The prompt profile cannot be read.
    """
    profile = load_profile(prompts) if prompts else own_profile(folder) or load_profile()
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            weights or folder,
            dtype=torch.bfloat16 if half else torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
        )
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    except IBISAgentError:
        raise
    except Exception as error:  # a broken file fails in the loader of its own format
        raise ModelNotFound(
            f"No checkpoint that can be trained at {folder}: {str(error).splitlines()[0]}",
            "Give a folder with config.json, *.safetensors, tokenizer and processor files.",
        ) from error
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    # The trainer loads the reference of the KL term by this name: it is always the start.
    model.config._name_or_path = model.name_or_path = str(folder.resolve())
    return StartModel(model, processor, profile)
