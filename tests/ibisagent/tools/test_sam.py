"""SAM checkpoints: the published click protocol, and files that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor

from ibisagent.actions import Click
from ibisagent.errors import DeviceUnavailable, ModelNotFound
from ibisagent.tools import load_tool
from ibisagent.tools.base import RGB, Segmentation
from ibisagent.tools.sam import Sam

Picture = Callable[[int, int], RGB]
CLICKS = [Click(0.5, 0.5), Click(0.9, 0.2, positive=False)]


def reference(sam: Sam, rgb: RGB, prior: Segmentation | None) -> tuple[np.ndarray, float]:
    """The same prompts through segment-anything's own predictor."""
    predictor = SamPredictor(sam._net)
    predictor.set_image(rgb)
    height, width = rgb.shape[:2]
    xy = np.array([click.to_pixel(height, width)[::-1] for click in CLICKS])
    masks, quality, _ = predictor.predict(
        xy,
        np.array([int(click.positive) for click in CLICKS]),
        mask_input=None if prior is None else prior.logits[None],
    )
    best = quality.argmax()
    return masks[best], quality[best]


@pytest.mark.parametrize("refine", [False, True])
@pytest.mark.parametrize("size", [(60, 80), (130, 90)])
def test_prompts_reach_the_model_as_in_the_original_predictor(
    sam: Sam, picture: Picture, size: tuple[int, int], refine: bool
) -> None:
    image = picture(*size)
    prepared = sam.set_image(image)
    prior = prepared.segment(CLICKS[:1]) if refine else None
    found = prepared.segment(CLICKS, prior)
    mask, quality = reference(sam, image, prior)
    assert np.array_equal(found.mask, mask)
    assert found.score == pytest.approx(np.clip(quality, 0, 1), abs=1e-5)


def test_the_logits_of_the_last_turn_are_the_prompt_of_the_next(sam: Sam, picture: Picture) -> None:
    prepared = sam.set_image(picture(60, 80))
    prior = prepared.segment(CLICKS[:1])
    assert prior.logits is not None
    assert prior.logits.shape == (16, 16)
    with_prior, without = prepared.segment(CLICKS, prior), prepared.segment(CLICKS)
    assert not np.array_equal(with_prior.logits, without.logits)


def test_a_drawn_mask_fills_the_square_of_the_decoder(sam: Sam) -> None:
    mask = np.zeros((30, 60), dtype=bool)
    mask[:, :30] = True
    logits = sam.prior_logits(Segmentation(mask, 1.0)).numpy()
    assert logits.shape == (16, 16)
    assert (logits[:8, :7] > 0).all()
    assert (logits[:8, 9:] < 0).all()
    assert (logits[8:] < 0).all()


def test_the_name_does_not_tell_where_the_checkpoint_lies(sam: Sam) -> None:
    assert sam.name == "sam:vit_b:tiny"


@pytest.mark.usefixtures("tiny_registry")
def test_medsam_has_the_form_of_vit_b(sam_checkpoint: Path) -> None:
    assert load_tool(f"medsam:{sam_checkpoint}", "cpu").name == "medsam:vit_b:tiny"


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"none\.pth"):
        Sam("vit_b", tmp_path / "none.pth", "cpu")


@pytest.mark.usefixtures("tiny_registry")
def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ModelNotFound, match="not those of the model"):
        Sam("vit_b", tmp_path / "other.pth", "cpu")


def test_an_absent_device_is_named(sam_checkpoint: Path) -> None:
    with pytest.raises(DeviceUnavailable):
        Sam("vit_b", sam_checkpoint, "cuda:99")
