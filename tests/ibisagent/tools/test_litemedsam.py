"""The embedded default on its real weights and real images."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy import ndimage

from ibisagent.actions import Click
from ibisagent.policies.scripted import next_click
from ibisagent.tools import load_tool
from ibisagent.tools.base import RGB, Mask, Segmentation
from ibisagent.tools.click_consistency import depth
from ibisagent.tools.click_weights import EMBEDDED
from ibisagent.tools.litemedsam import LiteMedSAM

Picture = Callable[[int, int], RGB]
CLICKS = [
    Click(0.5, 0.5),
    Click(0.2, 0.5, positive=False),
    Click(0.66, 0.4),
    Click(0.999, 0.999, positive=False),
]


def dice(one: Mask, other: Mask) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


@pytest.mark.parametrize("size", [(37, 301), pytest.param((700, 512), marks=pytest.mark.slow)])
def test_clicks_hold_at_every_step(
    embedded: LiteMedSAM, picture: Picture, size: tuple[int, int]
) -> None:
    prepared, found = embedded.set_image(picture(*size)), None
    for n in range(1, len(CLICKS) + 1):
        found = prepared.segment(CLICKS[:n], found)
        for click in CLICKS[:n]:
            assert found.mask[click.to_pixel(*size)] == click.positive


def test_a_few_ideal_clicks_find_the_bright_disc(embedded: LiteMedSAM, picture: Picture) -> None:
    image = picture(200, 300)
    truth, prepared = image[..., 0] > 100, embedded.set_image(image)
    clicks, found = [], Segmentation.empty(200, 300)
    for _ in range(4):
        clicks.append(next_click(truth, found.mask)[0])
        found = prepared.segment(clicks, found if found.mask.any() else None)
    assert dice(found.mask, truth) > 0.9


def test_clicks_at_once_give_what_clicks_in_turn_give(
    embedded: LiteMedSAM, picture: Picture
) -> None:
    prepared, found = embedded.set_image(picture(60, 80)), None
    for n in range(1, 4):
        found = prepared.segment(CLICKS[:n], found)
    at_once = embedded.set_image(picture(60, 80)).segment(CLICKS[:3])
    assert found is not None
    assert np.array_equal(at_once.mask, found.mask)
    assert at_once.score == found.score


def test_negative_clicks_alone_leave_nothing(embedded: LiteMedSAM, picture: Picture) -> None:
    found = embedded.set_image(picture(60, 80)).segment([CLICKS[1]])
    assert not found.mask.any()


def test_the_later_of_two_clicks_in_a_pixel_counts(embedded: LiteMedSAM, picture: Picture) -> None:
    prepared, pixel = embedded.set_image(picture(60, 80)), CLICKS[0].to_pixel(60, 80)
    opposite = Click(0.5, 0.5, positive=False)
    assert prepared.segment([opposite, CLICKS[0]]).mask[pixel]
    assert not prepared.segment([CLICKS[0], opposite]).mask[pixel]


def test_the_model_is_left_as_it_was_trained(embedded: LiteMedSAM) -> None:
    for part in (embedded._net.image_encoder, embedded._net.prompt_encoder):
        assert not part.training
        assert not any(weight.requires_grad for weight in part.parameters())


def test_a_later_click_leaves_alone_what_does_not_hang_together_with_it(
    embedded: LiteMedSAM, picture: Picture
) -> None:
    prepared = embedded.set_image(picture(120, 160))
    first = prepared.segment([CLICKS[0]])
    far = Click(0.95, 0.05)
    second = prepared.segment([CLICKS[0], far], first)
    changed, _ = ndimage.label(first.mask != second.mask, np.ones((3, 3)))
    here = changed[far.to_pixel(120, 160)]
    assert here > 0
    elsewhere = (changed > 0) & (changed != here)
    assert elsewhere.sum() <= 4  # where the enlarged border of the first mask is interpolated


def cell_nucleus(data_dir: Path) -> tuple[RGB, Mask]:
    folder = data_dir / "micro_wbc_krd"
    item = json.loads((folder / "manifest.json").read_text())["items"][0]
    label = np.array(Image.open(folder / item["label"]))
    regions, _ = ndimage.label(label > 0)
    largest = np.bincount(regions[regions > 0]).argmax()
    return np.array(Image.open(folder / item["image"]).convert("RGB")), regions == largest


def test_a_click_in_a_real_image_finds_the_cell(embedded: LiteMedSAM, data_dir: Path) -> None:
    image, truth = cell_nucleus(data_dir)
    middle = np.unravel_index(depth(truth).argmax(), truth.shape)
    click = Click.from_pixel(int(middle[0]), int(middle[1]), *truth.shape)
    assert dice(embedded.set_image(image).segment([click]).mask, truth) > 0.7


def test_a_wrong_starting_mask_is_left_behind(embedded: LiteMedSAM, picture: Picture) -> None:
    image = picture(100, 100)
    wrong = np.zeros((100, 100), dtype=bool)
    wrong[5:15, 5:15] = True
    clicks = [Click(0.5, 0.5), Click(0.1, 0.1, positive=False)]
    found = embedded.set_image(image).segment(clicks, Segmentation(wrong, 0.0))
    assert dice(found.mask, image[..., 0] > 100) > 0.8
    assert (found.mask & wrong).sum() < wrong.sum()


def test_weights_of_ones_own_are_used_and_named(
    embedded: LiteMedSAM, picture: Picture, tmp_path: Path
) -> None:
    """As `ibistrain tool` and `ibistrain average` write them, whichever type they have."""
    weights = {name: value.float() for name, value in load_file(EMBEDDED).items()}
    mine, weaker = tmp_path / "mine.safetensors", tmp_path / "weaker.safetensors"
    save_file(weights, mine)
    save_file({name: value / 2 for name, value in weights.items()}, weaker)
    prepared = embedded.set_image(picture(64, 64))
    expected = prepared.segment(CLICKS[:1])
    tool, other = (load_tool(f"litemedsam:{path}", "cpu") for path in (mine, weaker))
    assert tool.name == f"litemedsam:mine@{sha256(mine.read_bytes()).hexdigest()[:8]}"
    assert other.name.startswith("litemedsam:weaker@")
    assert isinstance(tool, LiteMedSAM)
    assert isinstance(other, LiteMedSAM)
    found = replace(prepared, tool=tool).segment(CLICKS[:1])  # the encoder is the same
    assert np.array_equal(found.mask, expected.mask)
    found = replace(prepared, tool=other).segment(CLICKS[:1])
    assert not np.array_equal(found.logits, expected.logits)
