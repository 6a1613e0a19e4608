"""The weights that make LiteMedSAM follow clicks: a safetensors file in the package."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ibisagent.errors import ModelNotFound

EMBEDDED = Path(__file__).parent / "embedded" / "litemedsam_clicks.safetensors"
"""Of the package, float16."""
_ENCODER, _UP, _DOWN = "image_encoder.", ".up", ".down"


def read_click_weights(
    path: Path, prompt_encoder: Any, mask_decoder: Any, image_encoder: nn.Module
) -> bool:
    """Give the parts of LiteMedSAM their weights.

    Prompt encoder and mask decoder are in the file as they are. Of the image encoder there may be
    factors of low rank, `image_encoder.layer.up` and `.down`, whose product is added to the weight
    of that layer.

    Args:
        path: As `write_click_weights` wrote it; any floating-point type.
        prompt_encoder: Of LiteMedSAM; changed in place.
        mask_decoder: Of LiteMedSAM; changed in place.
        image_encoder: Of LiteMedSAM, as its package has it; changed in place.

    Returns:
        Whether the image encoder was changed.

    Raises:
        ModelNotFound: The file is missing, damaged, or of another network.
    """
    parts = nn.ModuleDict({"prompt_encoder": prompt_encoder, "mask_decoder": mask_decoder})
    try:
        weights = {name: value.float() for name, value in load_file(path).items()}
        factors = {name: weights.pop(name) for name in list(weights) if name.startswith(_ENCODER)}
        parts.load_state_dict(weights)
        _add_products(image_encoder, factors)
    except (OSError, SafetensorError, RuntimeError, KeyError, AttributeError) as error:
        raise ModelNotFound(
            f"The tool's weights at '{path}' cannot be used.",
            "Install the package again, or make them with: ibistrain tool.",
        ) from error
    return bool(factors)


def tunes_encoder(weights: Iterable[str]) -> bool:
    """Whether weights of these names change the image encoder."""
    return any(name.startswith(_ENCODER) for name in weights)


def write_click_weights(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Write weights as float16, half the size at no measurable loss.

    Args:
        path: The file.
        weights: Names as in `read_click_weights`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in weights.items()}, path)


@torch.no_grad()
def _add_products(image_encoder: nn.Module, factors: dict[str, torch.Tensor]) -> None:
    for name, up in factors.items():
        if name.endswith(_UP):
            layer = name.removesuffix(_UP)
            weight = image_encoder.get_parameter(f"{layer.removeprefix(_ENCODER)}.weight")
            weight.add_((up @ factors[layer + _DOWN]).view_as(weight).to(weight.device))
