"""Finds and reads the weights of SAM 2, SAM 2.1 and MedSAM2.

They come in two layouts: a folder as on the model hub, and the ``.pt`` file of the original
repository, in which MedSAM2 is published. The latter's tensors are renamed; its form (tiny,
small, base+ or large) is read off their shapes, so that nobody has to name it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import Sam2Config, Sam2HieraDetConfig, Sam2Model, Sam2VisionConfig
from transformers.models.sam2.configuration_sam2 import Sam2PromptEncoderConfig

from ibisagent.errors import ModelNotFound
from ibisagent.policies.checkpoint_source import CheckpointSource
from ibisagent.tools.checkpoint import fill, read_weights

_MODEL_TYPES = {"sam2", "sam2_video"}
"""What a folder says it is; the hub's checkpoints call themselves by the tracker they also hold."""


@dataclass(frozen=True)
class Form:
    """What the sizes of SAM 2's image encoder (Hiera) differ in beyond the shapes of tensors.

    Attributes:
        blocks: Blocks of each stage.
        global_blocks: Blocks that attend to the whole image.
        windows: Side of the attention window of each stage.
        heads: Attention heads of the first stage; each further stage has twice as many.
    """

    blocks: tuple[int, ...]
    global_blocks: tuple[int, ...]
    windows: tuple[int, ...]
    heads: int


FORMS = {
    (96, 12): Form((1, 2, 7, 2), (5, 7, 9), (8, 4, 14, 7), 1),
    (96, 16): Form((1, 2, 11, 2), (7, 10, 13), (8, 4, 14, 7), 1),
    (112, 24): Form((2, 3, 16, 3), (12, 16, 20), (8, 4, 14, 7), 2),
    (144, 48): Form((2, 6, 36, 4), (23, 33, 43), (8, 4, 16, 8), 2),
}
"""Tiny, small, base+ and large by (width, number of blocks), as in the original repository."""


def load_folder(where: str) -> tuple[Sam2Model, str]:
    """A checkpoint in the hub's layout.

    Args:
        where: A folder, or a hub name; see `CheckpointSource.parse`.

    Returns:
        The model, float32 on the processor, and its label without this machine's folders.

    Raises:
        ModelNotFound: There is none, it cannot be had or read, or it is no SAM 2.
    """
    source = CheckpointSource.parse(where)
    folder = source.folder()
    _require_sam2(folder)
    loader: Any = Sam2Model  # its annotations know nothing of the second thing returned
    try:
        net, report = loader.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise _unreadable(where) from error
    if report["missing_keys"] or report["mismatched_keys"]:
        raise _unreadable(where)
    return net, source.label(folder).removeprefix("local:").replace("/", "--")


def load_file(path: Path, side: int) -> Sam2Model:
    """A ``.pt`` file of the original repository.

    Args:
        path: The file. Only tensors are read from it, no code.
        side: Pixels of the square that the model was trained on: 1024, or 512 of MedSAM2.

    Returns:
        The model, float32 on the processor.

    Raises:
        ModelNotFound: The file is missing, cannot be read safely, or holds other weights.
    """
    state = read_weights(path)
    net = Sam2Model(config_of(state, side, path))
    fill(net, renamed(state), path)
    return net


def config_of(state: dict[str, Tensor], side: int, path: Path) -> Sam2Config:
    """The form of a model, from the shapes of its tensors in the original layout.

    Raises:
        ModelNotFound: These are not the weights of a SAM 2.
    """
    try:
        width = state["image_encoder.trunk.patch_embed.proj.weight"].shape[0]
        background = list(state["image_encoder.trunk.pos_embed"].shape[-2:])
        depth = len({key.split(".")[3] for key in state if key.startswith(_BLOCKS)})
        form = FORMS[width, depth]
    except (KeyError, AttributeError, IndexError) as error:
        raise ModelNotFound(
            f"The weights in '{path}' are not those of SAM 2.",
            "Give a .pt file of SAM 2, SAM 2.1 or MedSAM2, or a folder as on the model hub.",
        ) from error
    widths = [width * 2**stage for stage in range(4)]
    backbone = Sam2HieraDetConfig(
        hidden_size=width,
        image_size=[side, side],
        num_attention_heads=form.heads,
        window_positional_embedding_background_size=background,
        blocks_per_stage=list(form.blocks),
        embed_dim_per_stage=widths,
        num_attention_heads_per_stage=[form.heads * 2**stage for stage in range(4)],
        window_size_per_stage=list(form.windows),
        global_attention_blocks=list(form.global_blocks),
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=widths[::-1],
        backbone_feature_sizes=[[side // step] * 2 for step in (4, 8, 16)],
    )
    return Sam2Config(
        vision_config=vision, prompt_encoder_config=Sam2PromptEncoderConfig(image_size=side)
    )


_BLOCKS = "image_encoder.trunk.blocks."

_TRACKER = re.compile(r"memory_|maskmem_|no_obj|no_mem_pos_enc|obj_ptr|mask_downsample")
"""Tensors that serve videos only."""

_RENAMES: list[tuple[str, str]] = [
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"^sam_prompt_encoder\.pe_layer\..*", "shared_image_embedding.positional_embedding"),
    (r"^sam_prompt_encoder\.mask_downscaling\.0\.", "prompt_encoder.mask_embed.conv1."),
    (r"^sam_prompt_encoder\.mask_downscaling\.1\.", "prompt_encoder.mask_embed.layer_norm1."),
    (r"^sam_prompt_encoder\.mask_downscaling\.3\.", "prompt_encoder.mask_embed.conv2."),
    (r"^sam_prompt_encoder\.mask_downscaling\.4\.", "prompt_encoder.mask_embed.layer_norm2."),
    (r"^sam_prompt_encoder\.mask_downscaling\.6\.", "prompt_encoder.mask_embed.conv3."),
    (r"^sam_(prompt_encoder|mask_decoder)\.", r"\1."),
    (r"output_upscaling\.0\.", "upscale_conv1."),
    (r"output_upscaling\.1\.", "upscale_layer_norm."),
    (r"output_upscaling\.3\.", "upscale_conv2."),
    (r"norm_final_attn", "layer_norm_final_attn"),
    (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"\.out_proj\.", ".o_proj."),
    (r"(\.mlp|hypernetworks_mlps\.\d|_head)\.layers\.0\.", r"\1.proj_in."),
    (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
    (r"(hypernetworks_mlps\.\d|_head)\.layers\.1\.", r"\1.layers.0."),
    (r"(hypernetworks_mlps\.\d|_head)\.layers\.2\.", r"\1.proj_out."),
]
"""Pattern and replacement, applied one after the other to each name."""

_POINTS = "prompt_encoder.point_embeddings."


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the original layout under the names that transformers gives them."""
    new = {_rename(key): tensor for key, tensor in state.items() if not _TRACKER.match(key)}
    points = sorted(key for key in new if key.startswith(_POINTS))
    if points:
        new["prompt_encoder.point_embed.weight"] = torch.cat([new.pop(key) for key in points])
    positions = new.get("shared_image_embedding.positional_embedding")
    if positions is not None:  # one tensor there, twice in transformers
        new["prompt_encoder.shared_embedding.positional_embedding"] = positions
    return new


def _rename(key: str) -> str:
    for pattern, replacement in _RENAMES:
        key = re.sub(pattern, replacement, key)
    return key


def _require_sam2(folder: Path) -> None:
    """Tell another model before its weights are read, which may take minutes."""
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        fits = config["model_type"] in _MODEL_TYPES
    except (OSError, ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise ModelNotFound(
            f"The folder '{folder.name}' holds no SAM 2: its config.json says nothing of one.",
            "Give a folder saved from the model hub, for example of facebook/sam2.1-hiera-large.",
        )


def _unreadable(where: str) -> ModelNotFound:
    return ModelNotFound(
        f"The weights of SAM 2 at '{where}' are incomplete or damaged.",
        "Download the checkpoint again, with its model.safetensors.",
    )
