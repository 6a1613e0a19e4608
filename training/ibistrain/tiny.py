"""Tiny checkpoints of the Qwen2.5-VL architecture, built from nothing.

They load by the same classes as the 7B model and speak the same protocol, so that whatever
works with one works with the other. What makes such a model learn at all is initialisation at
its own width, and number embeddings that start out as neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import torch
from pydantic import BaseModel, ConfigDict
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
)
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

from ibistrain.tokenizer import (
    CHAT_TEMPLATE,
    IMAGE,
    VIDEO,
    VISION_END,
    VISION_START,
    number_ids,
    token_id,
    train_tokenizer,
)


class TinySize(BaseModel):
    """Dimensions of a tiny checkpoint; the defaults are those of the embedded one, 6.5 M."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    picture: int = 256
    """Pictures are scaled to about this many pixels squared."""
    patch: int = 16
    merge: int = 1
    vision_width: int = 192
    vision_layers: int = 6
    vision_heads: int = 6
    text_width: int = 256
    text_layers: int = 4
    text_heads: int = 4
    text_kv_heads: int = 2
    vocabulary: int = 1024


LARGER = TinySize(picture=320, vision_width=256, vision_layers=8, vision_heads=8, text_layers=5)
"""11.6 M parameters, for those who have a GPU to train them: 23 MB in half precision."""


def build(folder: Path, texts: Iterable[str], size: TinySize | None = None, seed: int = 0) -> None:
    """Write an untrained checkpoint: weights, configuration, tokenizer, processor.

    Args:
        folder: Where; made if missing.
        texts: What the model will read and write; the tokenizer is learnt from it.
        size: Dimensions.
        seed: Of the initial weights.
    """
    size = size or TinySize()
    tokenizer = train_tokenizer(texts, size.vocabulary)
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(configuration(size, tokenizer))
    initialise(model, tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor(size, tokenizer).save_pretrained(folder)


def configuration(size: TinySize, tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLConfig:
    """The model's configuration for a size and a tokenizer."""
    head = size.text_width // size.text_heads
    ends = {
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return Qwen2_5_VLConfig(
        vision_config={
            "depth": size.vision_layers,
            "hidden_size": size.vision_width,
            "intermediate_size": 3 * size.vision_width,
            "num_heads": size.vision_heads,
            "patch_size": size.patch,
            "spatial_merge_size": size.merge,
            "window_size": 8 * size.patch * size.merge,
            "out_hidden_size": size.text_width,
            # A picture has few tokens, so that every layer may see all of it.
            "fullatt_block_indexes": list(range(size.vision_layers)),
            "initializer_range": 0.9 / math.sqrt(size.vision_width),
        },
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": size.text_width,
            "intermediate_size": 3 * size.text_width,
            "num_hidden_layers": size.text_layers,
            "num_attention_heads": size.text_heads,
            "num_key_value_heads": size.text_kv_heads,
            "max_position_embeddings": 2048,
            "initializer_range": 0.9 / math.sqrt(size.text_width),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": _mrope_section(head // 2),
            },
            **ends,
        },
        image_token_id=token_id(tokenizer, IMAGE),
        video_token_id=token_id(tokenizer, VIDEO),
        vision_start_token_id=token_id(tokenizer, VISION_START),
        vision_end_token_id=token_id(tokenizer, VISION_END),
        tie_word_embeddings=True,
        **ends,
    )


def processor(size: TinySize, tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLProcessor:
    """The processor that cuts pictures into patches and texts into tokens."""
    pixels = {"shortest_edge": size.picture**2 // 2, "longest_edge": size.picture**2}
    common = {
        "patch_size": size.patch,
        "merge_size": size.merge,
        "size": pixels,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**common),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**common),
        chat_template=CHAT_TEMPLATE,
    )


def initialise(
    model: Qwen2_5_VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Scale weights to the model's width and make neighbouring numbers alike.

    Embeddings of ``00`` to ``99`` start as cosines of growing frequency, so that a step from one
    number to the next is a small step in the embedding.
    """
    embedding = cast(torch.Tensor, model.get_input_embeddings().weight)
    width = embedding.shape[1]
    with torch.no_grad():
        embedding.normal_(std=1.0 / math.sqrt(width))
        position = (torch.arange(100) + 0.5) / 100
        frequency = torch.arange(width)[None, :] % (width // 4)
        waves = torch.cos(math.pi * position[:, None] * frequency)
        embedding[number_ids(tokenizer)] = waves / math.sqrt(width)


def _mrope_section(half_head: int) -> list[int]:
    """Share of rotary frequencies for time, height and width; as 1 : 1.5 : 1.5 in the 7B model."""
    spatial = 3 * half_head // 8
    return [half_head - 2 * spatial, spatial, spatial]
