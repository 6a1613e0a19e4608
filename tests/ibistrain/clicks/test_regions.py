"""Regions without a label."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet
from ibistrain.batches.gallery import Gallery
from ibistrain.clicks import regions
from ibistrain.clicks.regions import find_regions
from ibistrain.clicks.squares import inner_sizes


def test_without_boxes_there_are_none(
    net: LiteMedSAMNet, gallery: Gallery, generator: torch.Generator
) -> None:
    assert not find_regions(net, gallery, 0, generator).any()


def test_what_fills_a_box_lies_there_in_the_picture(
    net: LiteMedSAMNet,
    gallery: Gallery,
    generator: torch.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a model that marks every second box and is unsure of the others."""
    asked: list[Tensor] = []

    def fill(_: LiteMedSAMNet, images: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        asked.append(boxes)
        lines = torch.arange(SIDE)
        across = (lines >= boxes[..., :1]) & (lines <= boxes[..., 2:3])
        down = (lines >= boxes[..., 1:2]) & (lines <= boxes[..., 3:])
        logits = torch.where(down[..., :, None] & across[..., None, :], 8.0, -8.0)
        return logits, torch.tensor([0.9, 0.5] * 4).expand(len(images), -1)

    monkeypatch.setattr(regions, "_inside_boxes", fill)
    found = find_regions(net, gallery, 8, generator)
    boxes = torch.cat(asked)
    inner = inner_sizes(gallery.sizes)
    assert (boxes[..., :2] >= 0).all()
    assert (boxes[..., 2:] < inner.flip(1)[:, None]).all()
    kept = 0
    for picture, (height, width) in enumerate(gallery.sizes.tolist()):
        scale = SIDE / max(height, width)
        assert not found[picture, height:].any()
        assert not found[picture, :, width:].any()
        for number in range(8):
            mask = found[picture] >> number & 1
            assert number % 2 == 0 or not mask.any()
            if mask.any():
                kept += 1
                rows, columns = mask.nonzero().T
                sides = torch.stack([columns.min(), rows.min(), columns.max(), rows.max()]) * scale
                assert (sides - boxes[picture, number]).abs().max() < 2 * scale
    assert kept > 12


def test_the_real_model_finds_the_disc(
    gallery: Gallery,
    real_net: LiteMedSAMNet,
    generator: torch.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked with a box around it."""
    labels = gallery.labels[0] == 1
    rows, columns = labels.nonzero().T
    sides = torch.stack([columns.min(), rows.min(), columns.max(), rows.max()])
    box = (sides * SIDE / gallery.sizes[0].max()).round()
    monkeypatch.setattr(regions, "_boxes", lambda inner, count, _: box.expand(1, count, -1))
    one = dataclasses.replace(
        gallery, **{name: getattr(gallery, name)[:1] for name in ("pictures", "labels", "sizes")}
    )
    found = find_regions(real_net, one, 1, generator)[0] > 0
    assert 2 * (found & labels).sum() / (found.sum() + labels.sum()) > 0.85
