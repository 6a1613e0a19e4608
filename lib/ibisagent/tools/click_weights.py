"""The weights that make LiteMedSAM follow clicks: a safetensors file in the package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ibisagent.errors import ModelNotFound

EMBEDDED = Path(__file__).parent / "embedded" / "litemedsam_clicks.safetensors"
"""Of the package, float16."""


def read_click_weights(path: Path, prompt_encoder: Any, mask_decoder: Any) -> None:
    """Give prompt encoder and mask decoder their weights.

    Args:
        path: As `write_click_weights` wrote it; any floating-point type.
        prompt_encoder: Of LiteMedSAM; changed in place.
        mask_decoder: Of LiteMedSAM; changed in place.

    Raises:
        ModelNotFound: The file is missing, damaged, or of another network.
    """
    parts = torch.nn.ModuleDict({"prompt_encoder": prompt_encoder, "mask_decoder": mask_decoder})
    try:
        parts.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelNotFound(
            f"The tool's weights at '{path}' cannot be used.",
            "Install the package again, or make them with: ibistrain tool.",
        ) from error


def write_click_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Write weights as float16, half the size at no measurable loss.

    Args:
        path: The file.
        weights: Names as in `read_click_weights`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in weights.items()}, path)
