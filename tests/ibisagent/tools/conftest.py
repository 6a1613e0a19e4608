"""Tools to test: the embedded one with its real weights, tiny SAM and SAM 2 with random ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import segment_anything
import torch
from harness.tiny_sam2 import write_sam2
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)

from ibisagent.tools import load_tool
from ibisagent.tools.base import RGB, SegmentationTool


def tiny_sam() -> Sam:
    """SAM's classes at the smallest size: 64 pixels, 4 x 4 embedding, 16 x 16 mask logits."""
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=64,
            embed_dim=16,
            depth=1,
            num_heads=2,
            out_chans=32,
            use_rel_pos=True,
            global_attn_indexes=(0,),
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=32, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=16
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=32,
            transformer=TwoWayTransformer(depth=2, embedding_dim=32, num_heads=2, mlp_dim=64),
        ),
    )


@pytest.fixture(scope="session")
def sam_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``.pth`` file in the form of SAM's own, for `tiny_sam`."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.save(tiny_sam().state_dict(), path)
    return path


@pytest.fixture(scope="session")
def tiny_registry() -> Iterator[None]:
    """segment-anything builds `tiny_sam` where vit_b is asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(segment_anything.sam_model_registry, "vit_b", tiny_sam)
        yield


@pytest.fixture(scope="session")
def sam(sam_checkpoint: Path, tiny_registry: None) -> SegmentationTool:
    """SAM loaded as a user would."""
    return load_tool(f"sam:vit_b:{sam_checkpoint}", "cpu")


@pytest.fixture(scope="session")
def sam2(tmp_path_factory: pytest.TempPathFactory) -> SegmentationTool:
    """A tiny SAM 2 in the hub's layout, loaded as a user would."""
    return load_tool(f"sam2:{write_sam2(tmp_path_factory.mktemp('hub') / 'sam2-tiny')}", "cpu")


@pytest.fixture(scope="session")
def medsam(sam_checkpoint: Path, tiny_registry: None) -> SegmentationTool:
    """MedSAM, which is SAM under another name, loaded as a user would."""
    return load_tool(f"medsam:{sam_checkpoint}", "cpu")


@pytest.fixture(scope="session")
def medsam2(tmp_path_factory: pytest.TempPathFactory) -> SegmentationTool:
    """MedSAM2 by folder; its ``.pt`` file is compared with the original in `test_sam2`."""
    folder = write_sam2(tmp_path_factory.mktemp("hub") / "medsam2-tiny", seed=1)
    return load_tool(f"medsam2:{folder}", "cpu")


@pytest.fixture(scope="session")
def embedded() -> SegmentationTool:
    """The embedded default with its own weights."""
    return load_tool("embedded", "cpu")


@pytest.fixture
def picture() -> Callable[[int, int], RGB]:
    """Maker of pictures (height, width): a bright disc on noise."""

    def make(height: int, width: int) -> RGB:
        rows, columns = np.mgrid[:height, :width]
        radius = max(height, width) / 6
        disc = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < radius**2
        noise = np.random.default_rng(0).integers(0, 40, (height, width))
        return np.repeat((noise + 160 * disc).astype(np.uint8)[..., None], 3, axis=2)

    return make
