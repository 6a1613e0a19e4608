"""SAM 2 of transformers' own classes at the smallest size, with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import Sam2Config, Sam2HieraDetConfig, Sam2Model, Sam2VisionConfig
from transformers.models.sam2.configuration_sam2 import (
    Sam2MaskDecoderConfig,
    Sam2PromptEncoderConfig,
)

SIDE = 64
WIDTHS = [16, 32, 64, 128]


def tiny_sam2() -> Sam2Model:
    """64 pixels, maps of features of 16, 8 and 4, mask logits of 16 x 16."""
    backbone = Sam2HieraDetConfig(
        hidden_size=WIDTHS[0],
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=WIDTHS,
        num_attention_heads_per_stage=[1, 1, 1, 1],
        window_size_per_stage=[4, 4, 4, 4],
        window_positional_embedding_background_size=[4, 4],
        global_attention_blocks=[3],
        initializer_range=0.2,
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=WIDTHS[::-1],
        backbone_feature_sizes=[[SIDE // step] * 2 for step in (4, 8, 16)],
        fpn_hidden_size=32,
        initializer_range=0.2,
    )
    prompts = Sam2PromptEncoderConfig(hidden_size=32, image_size=SIDE, mask_input_channels=8)
    decoder = Sam2MaskDecoderConfig(
        hidden_size=32, mlp_dim=64, num_attention_heads=2, iou_head_hidden_dim=32
    )
    return Sam2Model(
        Sam2Config(
            vision_config=vision,
            prompt_encoder_config=prompts,
            mask_decoder_config=decoder,
            initializer_range=0.2,
        )
    )


def write_sam2(folder: Path, seed: int = 0) -> Path:
    """Save `tiny_sam2` as a checkpoint folder of the hub is laid out."""
    torch.manual_seed(seed)
    tiny_sam2().save_pretrained(folder)
    return folder
