"""SAM 2 against the predictor of the original repository, and its own ways to fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness.hub_cache import put_in_cache
from harness.tiny_sam2 import SIDE, write_sam2

from ibisagent.actions import Click
from ibisagent.errors import DeviceUnavailable, InvalidRequest, ModelNotFound
from ibisagent.tools import load_tool
from ibisagent.tools.base import RGB, Segmentation
from ibisagent.tools.sam2 import MEDSAM2_SIDE, Sam2

Picture = Callable[[int, int], RGB]
CLICKS = [Click(0.5, 0.5), Click(0.9, 0.2, positive=False)]


@pytest.fixture(scope="module")
def original() -> Any:
    """MedSAM2's form (tiny, 512 pixels) of the original classes, with random weights."""
    build = pytest.importorskip("sam2.build_sam", reason="the package sam2 is not installed")
    torch.manual_seed(0)
    size = [f"++model.image_size={MEDSAM2_SIDE}"]
    net = build.build_sam2(
        "configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu", hydra_overrides_extra=size
    )
    for parameter in net.parameters():  # some begin as zeros, which would hide a wrong name
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    return net


@pytest.fixture(scope="module")
def medsam2(original: Any, tmp_path_factory: pytest.TempPathFactory) -> Sam2:
    path = tmp_path_factory.mktemp("weights") / "MedSAM2_tiny.pt"
    torch.save({"model": original.state_dict()}, path)
    return load_tool(f"medsam2:{path}", "cpu")


@pytest.mark.parametrize("refine", [False, True])
def test_a_file_of_the_original_gives_what_the_original_predictor_gives(
    original: Any, medsam2: Sam2, picture: Picture, refine: bool
) -> None:
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    image = picture(60, 80)
    prepared = medsam2.set_image(image)
    prior = prepared.segment(CLICKS[:1]) if refine else None
    found = prepared.segment(CLICKS, prior)
    predictor = SAM2ImagePredictor(original)
    predictor._bb_feat_sizes = [(MEDSAM2_SIDE // step,) * 2 for step in (4, 8, 16)]
    predictor.set_image(image)
    masks, quality, low = predictor.predict(
        np.array([click.to_pixel(60, 80)[::-1] for click in CLICKS]),
        np.array([int(click.positive) for click in CLICKS]),
        mask_input=None if prior is None else prior.logits[None],
    )
    best = quality.argmax()
    assert np.allclose(found.logits, low[best], atol=1e-3)
    assert (found.mask == masks[best].astype(bool)).mean() > 0.999
    assert found.score == pytest.approx(quality[best], abs=1e-4)


def test_a_file_is_named_without_its_folder(medsam2: Sam2) -> None:
    assert medsam2.name == "medsam2:MedSAM2_tiny"


def test_a_folder_is_named_without_its_place(sam2: Sam2) -> None:
    assert sam2.name == "sam2:sam2-tiny"


def test_a_hub_name_is_loaded_and_its_commit_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_cache(monkeypatch, tmp_path, "owner/sam2-tiny", write_sam2)
    assert load_tool("sam2:owner/sam2-tiny", "cpu").name == (
        "sam2:hf:owner--sam2-tiny@0123456789ab"
    )


def test_the_logits_of_the_last_turn_are_the_prompt_of_the_next(
    sam2: Sam2, picture: Picture
) -> None:
    prepared = sam2.set_image(picture(60, 80))
    prior = prepared.segment(CLICKS[:1])
    assert prior.logits is not None
    assert prior.logits.shape == (SIDE // 4, SIDE // 4)
    with_prior, without = prepared.segment(CLICKS, prior), prepared.segment(CLICKS)
    assert not np.array_equal(with_prior.logits, without.logits)


def test_a_drawn_mask_is_stretched_to_the_square_of_the_decoder(sam2: Sam2) -> None:
    mask = np.zeros((30, 60), dtype=bool)
    mask[:, :30] = True
    logits = sam2.prior_logits(Segmentation(mask, 1.0)).numpy()
    assert logits.shape == (16, 16)
    assert (logits[:, :7] > 0).all()
    assert (logits[:, 9:] < 0).all()


def test_best_of_three_is_taken(
    sam2: Sam2, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    forward = sam2._net.mask_decoder.forward

    def watch(*arguments: Any, **named: Any) -> Any:
        found = forward(*arguments, **named)
        seen.append(found[1][0, 0])
        return found

    monkeypatch.setattr(sam2._net.mask_decoder, "forward", watch)
    score = sam2.set_image(picture(60, 80)).segment(CLICKS).score
    assert seen[0].shape == (3,)
    assert score == pytest.approx(float(seen[0].max()))


@pytest.mark.parametrize("spec", ["sam2", "sam2:", "medsam2:"])
def test_a_family_without_a_place_lists_the_choices(spec: str) -> None:
    with pytest.raises(InvalidRequest, match=r"'sam2:FOLDER'.*'medsam2:FILE\.pt'"):
        load_tool(spec)


def test_an_absent_device_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceUnavailable):
        Sam2(str(tmp_path), "cuda:99")


def test_a_place_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelNotFound, match="no checkpoint at nowhere"):
        Sam2("nowhere", "cpu")
