"""Weights of SAM 2 in both layouts, whole and broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from harness.tiny_sam2 import write_sam2
from safetensors.torch import load_file as read_tensors
from safetensors.torch import save_file
from transformers import Sam2Model

from ibisagent.errors import ModelNotFound
from ibisagent.tools.sam2_checkpoint import FORMS, config_of, load_file, load_folder

HERE = Path("weights.pt")


def trunk(width: int, depth: int) -> dict[str, torch.Tensor]:
    """What the form is read from."""
    blocks = {f"image_encoder.trunk.blocks.{i}.norm1.bias": torch.zeros(1) for i in range(depth)}
    return blocks | {
        "image_encoder.trunk.patch_embed.proj.weight": torch.zeros(width, 3, 7, 7),
        "image_encoder.trunk.pos_embed": torch.zeros(1, width, 7, 7),
    }


@pytest.mark.parametrize(("width", "depth"), FORMS)
def test_the_form_is_read_off_the_shapes(width: int, depth: int) -> None:
    config = config_of(trunk(width, depth), 512, HERE)
    backbone = config.vision_config.backbone_config
    assert sum(backbone.blocks_per_stage) == depth
    assert backbone.embed_dim_per_stage == [width, 2 * width, 4 * width, 8 * width]
    assert config.prompt_encoder_config.image_size == 512
    assert config.vision_config.backbone_feature_sizes == [[128, 128], [64, 64], [32, 32]]
    with torch.device("meta"):
        assert Sam2Model(config).prompt_encoder.image_embedding_size == (32, 32)


@pytest.mark.parametrize("state", [{}, trunk(96, 13), {"a": torch.zeros(1)}])
def test_weights_of_another_model_are_refused(
    state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(ModelNotFound, match="not those of SAM 2"):
        load_file(tmp_path / "other.pt", 512)


def test_weights_that_lack_a_part_are_refused(tmp_path: Path) -> None:
    torch.save(trunk(96, 12), tmp_path / "part.pt")
    with pytest.raises(ModelNotFound, match="not those of the model"):
        load_file(tmp_path / "part.pt", 512)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"none\.pt"):
        load_file(tmp_path / "none.pt", 512)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"model": Path("x")}, tmp_path / "code.pt")
    with pytest.raises(ModelNotFound, match="read safely"):
        load_file(tmp_path / "code.pt", 512)


def test_a_folder_may_call_itself_by_the_tracker_it_also_holds(tmp_path: Path) -> None:
    """The hub's checkpoints do, and hold tensors that serve videos only."""
    write_sam2(tmp_path)
    rewrite_config(tmp_path, "sam2_video")
    tensors = read_tensors(tmp_path / "model.safetensors")
    more = {"memory_encoder.projection.weight": torch.zeros(2, 2)}
    save_file(tensors | more, tmp_path / "model.safetensors", {"format": "pt"})
    net, label = load_folder(str(tmp_path))
    assert label == tmp_path.name
    assert torch.equal(net.no_memory_embedding, tensors["no_memory_embedding"])


def test_a_folder_of_another_model_is_refused(tmp_path: Path) -> None:
    write_sam2(tmp_path)
    rewrite_config(tmp_path, "qwen2_5_vl")
    with pytest.raises(ModelNotFound, match="holds no SAM 2"):
        load_folder(str(tmp_path))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="holds no SAM 2"):
        load_folder(str(tmp_path))


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    write_sam2(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelNotFound, match="incomplete or damaged"):
        load_folder(str(tmp_path))


def test_weights_without_a_tensor_are_refused(tmp_path: Path) -> None:
    write_sam2(tmp_path)
    tensors = read_tensors(tmp_path / "model.safetensors")
    del tensors["mask_decoder.iou_token.weight"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelNotFound, match="incomplete or damaged"):
        load_folder(str(tmp_path))


def rewrite_config(folder: Path, model_type: str) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | {"model_type": model_type}), encoding="utf-8")
