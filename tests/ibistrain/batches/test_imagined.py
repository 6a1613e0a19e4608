"""Masks as a tool might have left them, without a tool."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from harness.gallery_view import questions, truths_of, view_of
from hypothesis import given, settings
from hypothesis import strategies as st

from ibistrain.batches import imagined
from ibistrain.batches.answers import Kind, answer, iou_of
from ibistrain.batches.gallery import Gallery
from ibistrain.batches.imagined import ImaginedMarks, roughened
from ibistrain.batches.marks import Marked
from ibistrain.batches.views import View

DISC, SQUARE, STAR = 0, 1, 2
EVERY = list(range(6)) * 6
NOWHERE = torch.full((len(EVERY), 2), torch.nan)


def imagine(gallery: Gallery, target: int = DISC, seed: int = 0) -> tuple[View, Marked]:
    view = view_of(gallery, EVERY, seed=seed)
    asked = questions(list(range(len(EVERY))), [target] * len(EVERY))
    return view, ImaginedMarks(gallery).mark(view, asked, NOWHERE)


def test_about_half_are_good_and_the_rest_are_wrong_in_every_way(gallery: Gallery) -> None:
    kinds: Counter[Kind] = Counter()
    for seed in range(3):
        view, found = imagine(gallery, seed=seed)
        assert len(found.rows) > 33
        assert found.masks.flatten(1).any(1).all()
        truths = truths_of(gallery, view, found.rows, found.targets)
        kinds.update(Kind(int(n)) for n in answer(truths, found.masks, None, (1, 1)).kinds)
    total = kinds.total()
    assert 0.35 < kinds[Kind.DONE] / total < 0.8
    assert min(kinds[Kind.MISSED], kinds[Kind.SPILLED]) > 0.04 * total
    assert kinds[Kind.ELSEWHERE] >= 2
    assert kinds.keys() == {Kind.DONE, Kind.MISSED, Kind.SPILLED, Kind.ELSEWHERE}


def test_nothing_is_settled_by_itself(gallery: Gallery) -> None:
    assert not imagine(gallery)[1].settled.any()


def test_targets_are_those_that_were_asked_for(gallery: Gallery) -> None:
    view = view_of(gallery, [0, 1, 2])
    asked = questions([0, 0, 2, 2], [DISC, SQUARE, SQUARE, SQUARE])
    pairs = set(zip(asked.rows.tolist(), asked.targets.tolist(), strict=True))
    for _ in range(5):
        found = ImaginedMarks(gallery).mark(view, asked, NOWHERE[:4])
        assert set(zip(found.rows.tolist(), found.targets.tolist(), strict=True)) <= pairs
        assert found.rows.tolist() in ([0, 2], [0], [2])


def test_what_is_not_there_is_marked_on_something_else(gallery: Gallery) -> None:
    view, found = imagine(gallery, STAR)
    assert 0 < len(found.rows) < 0.3 * len(EVERY)
    for row, mask in zip(found.rows, found.masks, strict=True):
        labels = view.labels[row]
        assert any(torch.equal(mask, one) for one in (labels == 1, labels == 2, labels > 0))


def test_good_masks_are_right_but_for_their_border(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagined, "GOOD", 1.0)
    monkeypatch.setattr(imagined, "OTHER", 0.0)
    view, found = imagine(gallery)
    truths = truths_of(gallery, view, found.rows, found.targets)
    ious = iou_of(found.masks, truths)
    assert ious.min() > 0.8
    assert ious.max() < 1


def test_no_questions_leave_nothing_to_mark(gallery: Gallery) -> None:
    view = view_of(gallery, [0, 1])
    found = ImaginedMarks(gallery).mark(view, questions([], []), NOWHERE[:0])
    assert len(found.rows) == 0
    assert found.masks.shape == (0, *view.labels.shape[1:])


def test_the_same_view_gives_the_same_masks(gallery: Gallery) -> None:
    one, other, third = (imagine(gallery, seed=seed)[1].masks for seed in (4, 4, 5))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 999), st.integers(0, 12), st.integers(12, 40))
def test_borders_move_by_two_pixels_at_most(seed: int, top: int, side: int) -> None:
    masks = torch.zeros(2, 64, 72, dtype=torch.bool)
    masks[:, top : top + side, 20 : 20 + side] = True
    found = roughened(masks, torch.Generator().manual_seed(seed))
    wide = torch.nn.functional.max_pool2d(masks[:, None].float(), 5, 1, 2)[:, 0] > 0
    narrow = torch.nn.functional.max_pool2d(1.0 - masks[:, None].float(), 5, 1, 2)[:, 0] == 0
    narrow[:, :2] = False  # the mask may draw back from the picture's edge
    assert not (found & ~wide).any()
    assert (found | ~narrow).all()
    assert not torch.equal(found[0], found[1])
    assert not roughened(masks & False, torch.Generator().manual_seed(seed)).any()
