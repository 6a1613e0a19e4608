"""How a checkpoint's weights lie in memory: device or devices, number format, attention."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers.utils.import_utils import is_flash_attn_2_available

from ibisagent.policies.optional_package import require_package
from ibisagent.policies.policy_spec import FOUR_BIT_PACKAGES
from ibisagent.torch_device import resolve_device

logger = logging.getLogger(__name__)

USABLE = 0.8
"""Share of a GPU's free memory that weights may take; pictures and past tokens need the rest."""

NOT_QUANTISED = ["model.visual", "model.vision_tower", "model.multi_modal_projector", "lm_head"]
"""Where the eyes of the families lie: a small share of the weights, and the first to suffer."""


@dataclass(frozen=True)
class Placement:
    """Arguments for `from_pretrained`, and the device to move to where they do not place.

    Attributes:
        loading: Keyword arguments.
        move_to: Device for the whole model, or None where loading places it.
    """

    loading: dict[str, Any] = field(default_factory=dict)
    move_to: torch.device | None = None


def choose_placement(weights: int, device: str = "auto", four_bit: bool = False) -> Placement:
    """Decide where and how weights are held.

    On a CPU they are float32; elsewhere they keep the checkpoint's own format, which is bfloat16
    for all large ones. With ``auto`` and more than one GPU, weights that do not fit the first are
    spread over all.

    Args:
        weights: Size of the weights in bytes, see `weight_bytes`.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ...
        four_bit: Whether to quantise the language model's weights to NF4.

    Raises:
        DeviceUnavailable: The device is not there.
        MissingPackage: Spreading needs accelerate, 4-bit weights need bitsandbytes as well.
    """
    target = resolve_device(device)
    size = weights // 4 if four_bit else weights
    spread = device == "auto" and must_spread(size, _free_bytes())
    loading: dict[str, Any] = {"dtype": torch.float32 if target.type == "cpu" else "auto"}
    if spread:
        otherwise = "name one GPU that is large enough, as cuda:0"
        require_package("accelerate", "Spreading a model over several GPUs", otherwise)
        loading["device_map"] = "auto"
    if four_bit:
        loading |= _four_bit(target, spread)
    return Placement(loading, None if "device_map" in loading else target)


def must_spread(weights: int, free: Sequence[int]) -> bool:
    """Whether weights need more than the first of several GPUs.

    Args:
        weights: Bytes.
        free: Free bytes of each GPU.
    """
    return len(free) > 1 and weights > USABLE * free[0]


def weight_bytes(folder: Path) -> int:
    """Size of a checkpoint's weights."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def choose_attention(model: Any) -> None:
    """Take FlashAttention where package, GPU, number format and model allow it.

    Otherwise the model keeps what transformers chose: torch's own fused attention where the
    model knows it.
    """
    half = model.dtype in (torch.bfloat16, torch.float16)
    if not (half and model.device.type == "cuda" and is_flash_attn_2_available()):
        return
    try:
        model.set_attn_implementation("flash_attention_2")
    except (ValueError, ImportError) as error:
        logger.info("attention stays as it is: %s", error)


def _free_bytes() -> list[int]:
    if not torch.cuda.is_available():
        return []
    return [torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count())]


def _four_bit(device: torch.device, spread: bool) -> dict[str, Any]:
    from transformers import BitsAndBytesConfig

    for package in FOUR_BIT_PACKAGES:
        require_package(package, "Loading weights in 4 bits", "load them as they are")
    quantisation = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=True,
        llm_int8_skip_modules=NOT_QUANTISED,
    )
    placed = {} if spread else {"device_map": {"": device}}
    return {"quantization_config": quantisation, "dtype": torch.bfloat16, **placed}
