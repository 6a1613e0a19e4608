"""Untrained checkpoints of several families, as they lie on a model hub, a few kB each.

The architectures, classes and files are those of the released models; only the sizes differ.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessor,
    Gemma3Processor,
    PreTrainedTokenizerFast,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor

from ibisagent.prompts import load_profile
from ibistrain.tokenizer import (
    CHAT_TEMPLATE,
    IMAGE,
    VIDEO,
    VISION_END,
    VISION_START,
    train_tokenizer,
)

TEXTS = [
    load_profile().system,
    load_profile().first,
    load_profile().refine,
    "<think>I click on it.</think><action>Positive Point (0.2500, 0.7500)</action>",
    "<think>It fits.</think><action>Terminate</action><answer>The kidney is marked.</answer>",
]
_PATCHES = {"patch_size": 14, "merge_size": 2, "size": {"shortest_edge": 784, "longest_edge": 3136}}


def as_released_by_qwen(folder: Path) -> Path:
    """Turn a Qwen2.5-VL checkpoint into the older layout in which the 7B weights lie on the hub.

    Weights are called ``visual.*`` and ``model.*`` in bfloat16, and what belongs to the text
    model stands in the configuration's top level, rotary sections under ``rope_scaling``.
    """
    weights = load_file(folder / "model.safetensors")
    old = {re.sub(r"^model\.(visual|language_model)", _old_name, k): v for k, v in weights.items()}
    old = {name: tensor.to(torch.bfloat16) for name, tensor in old.items()}
    save_file(old, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = config.pop("text_config")
    rope = text.pop("rope_parameters")
    text.pop("model_type")
    flat = {
        **text,
        **config,
        "rope_theta": rope["rope_theta"],
        "rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]},
    }
    flat.pop("dtype", None)
    flat["torch_dtype"] = "bfloat16"
    (folder / "config.json").write_text(json.dumps(flat), encoding="utf-8")
    return folder


def _old_name(match: re.Match[str]) -> str:
    return {"visual": "visual", "language_model": "model"}[match[1]]


def qwen3_vl(folder: Path) -> Path:
    """Qwen3-VL: other vision tower, features injected into several text layers."""
    tokenizer = train_tokenizer(TEXTS, 400)
    config = Qwen3VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "out_hidden_size": 64,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
        text_config={
            **_text(tokenizer),
            "head_dim": 16,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [4, 2, 2],
            },
        },
        image_token_id=_id(tokenizer, IMAGE),
        video_token_id=_id(tokenizer, VIDEO),
        vision_start_token_id=_id(tokenizer, VISION_START),
        vision_end_token_id=_id(tokenizer, VISION_END),
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    Qwen3VLForConditionalGeneration(config).save_pretrained(folder)
    Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**_PATCHES),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(**_PATCHES),
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
    return folder


GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<start_of_image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def gemma3(folder: Path) -> Path:
    """Gemma 3, of which MedGemma is a fine-tune: SigLIP tower, sliding-window attention."""
    core = train_tokenizer(TEXTS, 400).backend_tokenizer
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<bos>",
        eos_token="<end_of_turn>",
        pad_token="<pad>",
        extra_special_tokens={
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": "<image_soft_token>",
        },
        chat_template=GEMMA_TEMPLATE,
    )
    config = Gemma3Config(
        text_config={
            **_text(tokenizer),
            "head_dim": 16,
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "full_attention"],
            "bos_token_id": tokenizer.bos_token_id,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 56,
            "patch_size": 14,
        },
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_id=tokenizer.image_token_id,
    )
    torch.manual_seed(0)
    Gemma3ForConditionalGeneration(config).save_pretrained(folder)
    Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size={"height": 56, "width": 56}),
        tokenizer=tokenizer,
        chat_template=GEMMA_TEMPLATE,
        image_seq_length=4,
    ).save_pretrained(folder)
    return folder


def _text(tokenizer: PreTrainedTokenizerFast) -> dict[str, object]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    return int(tokenizer.convert_tokens_to_ids(token))
