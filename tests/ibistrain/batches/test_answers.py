"""The annotator of many questions is the annotator of one."""

from __future__ import annotations

import re
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ibisagent.actions import Click, Terminate, format_reply, parse
from ibisagent.metrics import iou
from ibisagent.policies.scripted import annotate, depth_of
from ibistrain.batches.answers import (
    STOP_IOU,
    Answers,
    Kind,
    answer,
    iou_of,
    looks_of,
    worths_of,
)
from ibistrain.batches.depth import deep_points, depths
from ibistrain.batches.scripts import reply_text

Mask = NDArray[np.bool_]
GRID = (6, 8)
NEAR = 4.0
"""Pixels of depth that halving the resolution may cost: one large pixel at either end. Gaps
as narrow as a large pixel may be overlooked."""
unhurried = settings(deadline=None, max_examples=60)  # wall time says more of the machine
SEEDS = st.integers(0, 10**6)
FAULTS = ("missed", "spilled", "elsewhere", "done", "nothing", "absent", "wrong", "mixed")


def blobs(rng: np.random.Generator, height: int, width: int) -> Mask:
    """A mask with parts of many sizes, or one part."""
    coarse = torch.from_numpy(rng.normal(0, 1, (1, 1, *rng.integers(3, 9, 2))))
    large = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0, 0]
    return np.asarray(large > rng.uniform(0, 0.8))


def case(seed: int, fault: str) -> tuple[Mask, Mask]:
    """Truth and mask of even sides."""
    rng = np.random.default_rng(seed)
    height, width = (2 * rng.integers(16, 60, 2)).tolist()
    truth, other = blobs(rng, height, width), blobs(rng, height, width)
    nothing = np.zeros_like(truth)
    masks = {
        "missed": truth & other,
        "spilled": truth | other,
        "elsewhere": other & ~truth,
        "done": np.asarray(ndimage.binary_dilation(truth)),
        "nothing": nothing,
        "absent": nothing,
        "wrong": other,
        "mixed": other,
    }
    return nothing if fault in ("absent", "wrong") else truth, masks[fault]


def one(truth: Mask, mask: Mask, settled: bool = False) -> Answers:
    masks = torch.from_numpy(mask)[None]
    return answer(torch.from_numpy(truth)[None], masks, torch.tensor([settled]), GRID)


def text_of(answers: Answers, number: int = 0, seed: int = 0) -> str:
    told = [answers.kinds[number], *answers.clicks[number], *answers.facts[number]]
    return reply_text("disc", [float(value) for value in told], Random(seed))


def without_numbers(text: str) -> str:
    return re.sub(r"\d\.\d+", "#", text)


@unhurried
@given(SEEDS, st.sampled_from(FAULTS))
def test_the_same_is_said_and_clicked_as_one_by_one(seed: int, fault: str) -> None:
    truth, mask = case(seed, fault)
    expected = annotate(truth, mask, "disc", STOP_IOU, Random(0)).action
    answers = one(truth, mask)
    found = parse(text_of(answers)).action
    assert type(found) is type(expected)
    assert Kind(int(answers.kinds[0])).clicks == isinstance(found, Click)
    if not isinstance(found, Click):
        return
    missed, spilled = truth & ~mask, mask & ~truth
    error = missed if found.positive else spilled
    row, column = found.to_pixel(*truth.shape)
    assert ndimage.distance_transform_edt(~error)[row, column] <= NEAR / 2
    closed = ndimage.binary_closing(np.pad(error, 2), np.ones((3, 3)))[2:-2, 2:-2]
    most = max(depth_of(missed).max(), depth_of(spilled).max())
    assert depth_of(closed)[row, column] >= most - NEAR


@unhurried
@given(SEEDS, st.sampled_from(FAULTS))
def test_the_same_words_are_used_as_one_by_one(seed: int, fault: str) -> None:
    """On masks that lose nothing when they are halved."""
    truth, mask = (np.kron(side, np.ones((2, 2), bool)) for side in case(seed, fault))
    reply = annotate(truth, mask, "disc", STOP_IOU, Random(seed))
    answers = one(truth, mask)
    found = parse(text_of(answers, seed=seed)).action
    if not isinstance(reply.action, Terminate):
        assume(found.positive == reply.action.positive)  # as deep, but for the resolution
        error = truth & ~mask if found.positive else mask & ~truth
        parts, _ = ndimage.label(error)
        here, there = (parts[one.to_pixel(*truth.shape)] for one in (found, reply.action))
        assume(not mask.any() or here == there)  # or of two parts of like depth
    expected = without_numbers(format_reply(reply))
    assert without_numbers(text_of(answers, seed=seed)) == expected


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("missed", Kind.MISSED),
        ("spilled", Kind.SPILLED),
        ("elsewhere", Kind.ELSEWHERE),
        ("done", Kind.DONE),
        ("nothing", Kind.FIRST),
        ("absent", Kind.ABSENT),
        ("wrong", Kind.SPILLED),
    ],
)
def test_kinds(fault: str, kind: Kind) -> None:
    truth, mask = np.zeros((2, 60, 80), bool)
    if fault not in ("absent", "wrong"):
        truth[10:50, 10:40] = True
    if fault in ("missed", "spilled", "done"):
        mask[10:50, 10:40] = True
    if fault == "missed":
        mask[:, 22:] = False
    if fault in ("spilled", "elsewhere", "wrong"):
        mask[5:55, 60 : 66 if fault == "elsewhere" else 80] = True
    assert int(one(truth, mask).kinds[0]) == kind


def test_what_is_settled_ends_only_where_something_is_there_and_marked() -> None:
    faults = ("missed", "spilled", "elsewhere", "nothing", "absent", "wrong")
    for fault in faults:
        truth, mask = case(5, fault)
        kind = int(one(truth, mask, settled=True).kinds[0])
        if fault in ("missed", "spilled", "elsewhere"):
            assert kind == Kind.DONE
        else:
            assert kind == one(truth, mask).kinds[0] != Kind.DONE


@unhurried
@given(SEEDS)
def test_no_masks_are_empty_masks(seed: int) -> None:
    truth, mask = case(seed, "nothing")
    truths = torch.stack([torch.from_numpy(truth), torch.from_numpy(mask)])
    found = answer(truths, None, None, GRID)
    expected = answer(truths, torch.zeros_like(truths), None, GRID)
    assert int(found.kinds[1]) == Kind.ABSENT
    for name in ("kinds", "clicks", "facts", "worths", "looks"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


def test_questions_do_not_see_each_other() -> None:
    cases = [case(3, fault) for fault in FAULTS]
    size = np.min([truth.shape for truth, _ in cases], axis=0)
    rows, columns = (slice(0, side) for side in size.tolist())
    cut = [(truth[rows, columns], mask[rows, columns]) for truth, mask in cases]
    truths, masks = (torch.from_numpy(np.stack(side)) for side in zip(*cut, strict=True))
    together = answer(truths, masks, None, GRID)
    for number, (truth, mask) in enumerate(cut):
        alone = one(truth, mask)
        for name in ("kinds", "clicks", "facts", "worths", "looks"):
            mine = getattr(together, name)[number]
            assert torch.allclose(mine, getattr(alone, name)[0], atol=1e-6), name


def test_no_questions_have_no_answers() -> None:
    nothing = torch.zeros(0, 32, 32, dtype=torch.bool)
    for masks in (None, nothing):
        found = answer(nothing, masks, None, GRID)
        assert found.kinds.shape == (0,)
        assert found.worths.shape == (0, 2, 100)
        assert found.looks.shape == (0, 2, *GRID)


@unhurried
@given(SEEDS, st.sampled_from(FAULTS))
def test_replies_without_a_click_have_no_places(seed: int, fault: str) -> None:
    answers = one(*case(seed, fault))
    clicks = Kind(int(answers.kinds[0])).clicks
    for part in (answers.clicks, answers.worths, answers.looks):
        assert bool(part.any()) == clicks
    if clicks:
        assert torch.allclose(answers.looks.sum((2, 3)), torch.ones(1, 2), atol=1e-4)
        assert answers.clicks.min() > 0
        assert answers.clicks.max() < 1


@unhurried
@given(SEEDS)
def test_the_click_is_worth_most(seed: int) -> None:
    answers = one(*case(seed, "nothing"))
    assume(answers.kinds[0] == Kind.FIRST)
    assert answers.worths.min() >= 0
    assert answers.worths.max() <= 1
    for axis, across in ((0, 1), (1, 0)):
        worth, place = answers.worths[0, axis], answers.clicks[0, across]
        assert worth[(100 * place).long()] >= worth.max() - 0.1


@unhurried
@given(SEEDS, st.sampled_from(FAULTS))
def test_iou_is_that_of_the_metrics(seed: int, fault: str) -> None:
    truth, mask = case(seed, fault)
    found = iou_of(torch.from_numpy(mask)[None], torch.from_numpy(truth)[None])
    assert float(found[0]) == pytest.approx(iou(mask, truth))


def measured(region: Tensor) -> tuple[Tensor, Tensor]:
    depth = depths(region[None])
    return depth, deep_points(depth, None, torch.Generator())


def test_a_click_is_worth_most_at_the_deepest_point_and_nothing_outside() -> None:
    region = torch.zeros(50, 100, dtype=torch.bool)
    region[10:21, 40:61] = True  # deepest in the row 15, that is 0.31 of the height
    across, down = worths_of(*measured(region))[0]
    assert across[:40].sum() == 0 == across[61:].sum()
    assert across[50] == 1
    assert across[40] == pytest.approx(0.5 + 0.5 / 6)
    assert down[30] == 1
    assert down[:20].sum() == 0 == down[42:].sum()


def test_y_is_worth_what_it_is_at_the_x_of_the_deepest_point() -> None:
    region = torch.zeros(80, 80, dtype=torch.bool)
    region[10:30, 10:30] = True
    region[60:70, 60:70] = True
    across, down = worths_of(*measured(region))[0]
    assert across[80] > 0.5  # the smaller part counts for x
    assert not down[50:].any()


def test_the_look_for_y_is_at_the_part_whose_x_is_written() -> None:
    region = torch.zeros(80, 80, dtype=torch.bool)
    region[10:30, 10:30] = True  # the deepest: columns 2 to 5 of 16, rows 2 to 5
    region[60:78, 60:78] = True
    for_x, for_y = looks_of(*measured(region), (16, 16))[0]
    assert float(for_x.sum()) == pytest.approx(1) == float(for_y.sum())
    assert for_x[2:6, 2:6].sum() > for_x[12:16, 12:16].sum() > 0.1
    assert for_y[2:6, 2:6].sum() > 0.999
    assert for_y.sum(0).argmax() in (3, 4)


def test_where_nothing_is_there_nowhere_is_looked() -> None:
    assert not looks_of(*measured(torch.zeros(8, 8, dtype=torch.bool)), (3, 4)).any()
