"""Masks to correct, made by a tool or kept from episodes."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from harness.following_tools import FollowingDiscs, Stubborn, discs
from harness.gallery_view import SIZE, questions, truths_of, view_of
from torch import Tensor
from torch.nn import functional

from ibisagent.tools.litemedsam_net import SIDE
from ibisagent.tools.square_frame import SquareFrame
from ibistrain.batches import marks
from ibistrain.batches.answers import iou_of
from ibistrain.batches.gallery import Gallery
from ibistrain.batches.marks import SETTLED, KeptMarks, Marked, ToolMarks, without_padding
from ibistrain.batches.pose import Poses
from ibistrain.batches.questions import Questions
from ibistrain.batches.views import View
from ibistrain.labelled_picture import LabelledPicture
from ibistrain.state import GAIN, State

DISC, SQUARE, STAR = 0, 1, 2
INNER = SquareFrame(SIZE, SIDE).inner
EVERY = list(range(6))
NOWHERE = torch.full((6, 2), torch.nan)
ASKED = questions(EVERY, [DISC] * 6)


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """First clicks lie in the target, and no mask is of something else."""
    for name in ("OWN", "GUESSED", "OTHERS"):
        monkeypatch.setattr(marks, name, 0.0)
    return monkeypatch


def clicks(patch: pytest.MonkeyPatch, count: int) -> None:
    patch.setattr(marks, "CLICKS", [float(n == count) for n in (1, 2, 3)])


def marked(
    gallery: Gallery,
    tool: FollowingDiscs,
    asked: Questions = ASKED,
    own: Tensor = NOWHERE,
    seed: int = 0,
) -> tuple[View, Marked]:
    view = view_of(gallery, EVERY, seed=seed)
    return view, ToolMarks(gallery, tool).mark(view, asked, own)


def in_picture(logits: Tensor) -> Tensor:
    part = logits[:, None, : INNER[0], : INNER[1]]
    return functional.interpolate(part, SIZE, mode="bilinear")[:, 0] > 0


def at(masks: Tensor, points: Tensor) -> Tensor:
    """Values of masks in the square or of the picture's size at points in the square."""
    down, across = ((points + 0.5) / torch.tensor(INNER)).unbind(1)
    if masks.shape[1] == SIDE:
        return masks[torch.arange(len(masks)), points[:, 0], points[:, 1]]
    rows, columns = (down * SIZE[0]).long(), (across * SIZE[1]).long()
    return masks[torch.arange(len(masks)), rows, columns]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_masks_are_those_that_the_tool_made(gallery: Gallery, usual, count: int) -> None:
    clicks(usual, count)
    tool = FollowingDiscs()
    _, found = marked(gallery, tool)
    assert len(tool.asked) == count + 1  # and one click ahead
    last = tool.asked[-2]
    assert last.points.shape == (6, count, 2)
    assert torch.equal(found.masks, in_picture(last.after))
    assert torch.equal(found.rows, ASKED.rows)
    assert torch.equal(found.targets, ASKED.targets)


def test_each_mask_is_made_on_its_picture(gallery: Gallery, usual) -> None:
    tool, asked = FollowingDiscs(), questions([1, 4, 5], [DISC, SQUARE, DISC])
    view, found = marked(gallery, tool, asked)
    brightness = tool.embed(view.pictures)[:, 0].mean((1, 2))
    assert found.rows.tolist() == [1, 4, 5]
    assert len(set(brightness.tolist())) == 6
    for call in tool.asked:
        assert torch.equal(call.seen, brightness[[1, 4, 5]])


def test_one_question_a_picture_is_asked_again(gallery: Gallery) -> None:
    asked = questions([0, 0, 0, 2, 3, 3], [DISC, SQUARE, STAR, DISC, DISC, STAR])
    pairs = set(zip(asked.rows.tolist(), asked.targets.tolist(), strict=True))
    chosen = set()
    for seed in range(12):
        _, found = marked(gallery, FollowingDiscs(), asked, seed=seed)
        assert found.rows.tolist() == [0, 2, 3]
        assert found.masks.flatten(1).any(1).all()
        chosen |= set(zip(found.rows.tolist(), found.targets.tolist(), strict=True))
    assert chosen == pairs


def test_first_clicks_lie_deep_in_the_target(gallery: Gallery, usual) -> None:
    tool = FollowingDiscs()
    for seed in range(5):
        view, found = marked(gallery, tool, seed=seed)
        points = tool.asked[-1].points[:, 0]
        truths = truths_of(gallery, view, found.rows, found.targets)
        assert at(truths, points).all()
        assert tool.asked[-1].signs[:, 0].all()


def test_first_clicks_may_be_the_policys_own(gallery: Gallery, usual) -> None:
    usual.setattr(marks, "OWN", 1.0)
    tool = FollowingDiscs()
    own = torch.rand(6, 2, generator=torch.Generator().manual_seed(1))
    own[2] = torch.nan  # does not click
    view, found = marked(gallery, tool, own=own)
    points = tool.asked[0].points[:, 0]
    expected = (own * torch.tensor(INNER)).floor().long()
    clicked = torch.arange(6) != 2
    assert torch.equal(points[clicked], expected[clicked])
    truths = truths_of(gallery, view, found.rows, found.targets)
    assert at(truths, points)[2]


def test_the_policys_click_is_that_of_the_chosen_question(gallery: Gallery, usual) -> None:
    usual.setattr(marks, "OWN", 1.0)
    asked = questions([0, 0, 1], [DISC, SQUARE, DISC])
    own = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    for seed in range(6):
        tool = FollowingDiscs()
        _, found = marked(gallery, tool, asked, own, seed)
        expected = own[[int(found.targets[0]), 2]] * torch.tensor(INNER)
        assert torch.equal(tool.asked[0].points[:, 0], expected.floor().long())


def test_some_first_clicks_lie_anywhere(gallery: Gallery, usual) -> None:
    usual.setattr(marks, "GUESSED", 1.0)
    places = []
    for seed in range(8):
        tool = FollowingDiscs()
        marked(gallery, tool, seed=seed)
        places.append(tool.asked[0].points[:, 0])
    every = torch.cat(places) / torch.tensor(INNER)
    assert every.min() < 0.15
    assert every.max() > 0.85
    assert (every < 1).all()


def test_later_clicks_correct_the_larger_error(gallery: Gallery, usual) -> None:
    clicks(usual, 3)
    signs = []
    for seed, radius in enumerate((12.0, 30.0, 60.0)):
        tool = FollowingDiscs(radius)
        view, found = marked(gallery, tool, seed=seed)
        truths = truths_of(gallery, view, found.rows, found.targets)
        for call in tool.asked[1:]:
            wrong = in_picture(call.before) ^ truths
            sign, newest = call.signs[:, -1], call.points[:, -1]
            near = torch.nn.functional.max_pool2d(wrong[:, None].float(), 5, 1, 2)[:, 0] > 0
            assert at(near, newest).all()
            assert (at(truths, newest) == sign).float().mean() > 0.8  # but for halved pixels
            signs.append(sign)
    assert 0.2 < torch.cat(signs).float().mean() < 0.95


def half_right(gallery: Gallery, share: float) -> tuple[Stubborn, Gallery]:
    """A tool that always finds part of the first picture's disc, and a gallery of that picture."""
    alone = dataclasses.replace(
        gallery,
        pictures=gallery.pictures[:1].expand(6, -1, -1, -1),
        labels=gallery.labels[:1].expand(6, -1, -1),
    )
    truth = view_of(alone, [0]).labels == 1
    inner = functional.interpolate(truth[None].float(), INNER)[0, 0] > 0.5
    rows = inner.any(1).nonzero()[:, 0]
    inner[rows[int(share * len(rows))] :] = False
    always = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    always[: INNER[0], : INNER[1]] = inner
    return Stubborn(always=always), alone


def test_where_the_next_click_does_not_help_all_is_settled(gallery: Gallery, usual) -> None:
    for share, settled in ((0.6, True), (0.3, False)):
        tool, alone = half_right(gallery, share)
        view, found = marked(alone, tool)
        truths = truths_of(alone, view, found.rows, found.targets)
        assert (iou_of(found.masks, truths) >= SETTLED).all() == settled
        assert found.settled.tolist() == [settled] * 6


def test_where_the_next_click_helps_nothing_is_settled(gallery: Gallery, usual) -> None:
    for seed in range(4):
        tool = FollowingDiscs(radius=22)
        view, found = marked(gallery, tool, seed=seed)
        truths = truths_of(gallery, view, found.rows, found.targets)
        before, after = (iou_of(in_picture(call.after), truths) for call in tool.asked[-2:])
        expected = (before >= SETTLED) & (after < before + GAIN)
        assert torch.equal(found.settled, expected)


def test_masks_of_something_else_are_not_settled(gallery: Gallery, usual) -> None:
    usual.setattr(marks, "OTHERS", 1.0)
    tool, alone = half_right(gallery, 0.6)
    kinds = set()
    for seed in range(4):
        view, found = marked(alone, tool, seed=seed)
        others = [view.labels[0] == 1, view.labels[0] == 2, view.labels[0] > 0]
        for mask in found.masks:
            (kind,) = (n for n, other in enumerate(others) if torch.equal(mask, other))
            kinds.add(kind)
        assert not found.settled.any()
    assert kinds == {0, 1, 2}


def test_what_is_not_there_may_be_marked(gallery: Gallery, usual) -> None:
    asked = questions(EVERY, [STAR] * 6)
    _, found = marked(gallery, FollowingDiscs(), asked)
    assert found.targets.tolist() == [STAR] * 6
    assert found.masks.flatten(1).any(1).all()
    assert not found.settled.any()


def test_empty_masks_are_left_out(gallery: Gallery, usual) -> None:
    _, found = marked(gallery, Stubborn())
    assert len(found.rows) == len(found.targets) == len(found.masks) == len(found.settled) == 0


def test_no_questions_leave_nothing_to_mark(gallery: Gallery) -> None:
    none = Questions(ASKED.rows[:0], ASKED.targets[:0])
    _, found = marked(gallery, FollowingDiscs(), none, NOWHERE[:0])
    assert found.masks.shape == (0, *SIZE)


def test_features_are_those_of_the_pictures(gallery: Gallery) -> None:
    tool = FollowingDiscs()
    view, made = view_of(gallery, EVERY), ToolMarks(gallery, tool)
    found = made.mark(view, ASKED, NOWHERE)
    expected = tool.embed(view.pictures)
    expected = expected[:, :, : round(INNER[0] / 4), : round(INNER[1] / 4)]
    assert found.features is not None
    assert torch.equal(found.features, expected)
    assert torch.equal(made.look(view), expected)
    assert expected.amin((1, 2, 3)).all()  # no padding


@pytest.mark.parametrize("inner", [(256, 256), (128, 256), (256, 10), (1, 256)])
def test_padding_is_cut_off(inner: tuple[int, int]) -> None:
    square = torch.zeros(1, 1, SIDE, SIDE)
    square[:, :, : inner[0], : inner[1]] = 1
    embeddings = functional.max_pool2d(square, 4)
    cut = without_padding(embeddings, inner)
    assert cut.all()
    assert cut.shape[2:] == tuple(max(1, round(side / 4)) for side in inner)


def kept(gallery: Gallery, pictures: list[LabelledPicture], states: list[State]) -> KeptMarks:
    return KeptMarks(gallery, {one.name: n for n, one in enumerate(pictures)}, states)


def test_kept_masks_move_with_their_pictures(
    gallery: Gallery, pictures: list[LabelledPicture]
) -> None:
    states = [
        State("p1", "disc", pictures[1].truth("square left"), False),
        State("p3", "thing", pictures[3].truth("disc"), True),
    ]
    view = view_of(gallery, [0, 3, 1, 1, 5], Poses(), seed=2)
    found = kept(gallery, pictures, states).mark(view, ASKED, NOWHERE)
    assert found.rows.tolist() == [1, 2, 3]
    assert found.targets.tolist() == [3, DISC, DISC]
    assert found.settled.tolist() == [True, False, False]
    labels = view.labels
    expected = torch.stack([labels[1] == 1, labels[2] == 2, labels[3] == 2])
    assert torch.equal(found.masks, expected)


def test_pictures_without_states_are_not_marked(
    gallery: Gallery, pictures: list[LabelledPicture]
) -> None:
    states = [State("p1", "disc", pictures[1].truth("disc"), False)]
    found = kept(gallery, pictures, states).mark(view_of(gallery, [0, 2]), ASKED, NOWHERE)
    assert found.masks.shape == (0, *SIZE)
    assert len(found.rows) == len(found.targets) == len(found.settled) == 0


def test_kept_masks_that_left_the_picture_are_left_out(
    gallery: Gallery, pictures: list[LabelledPicture]
) -> None:
    mask = torch.zeros(100, 120, dtype=torch.bool)
    mask[0, 0] = True
    marker = kept(gallery, pictures, [State("p1", "disc", mask.numpy(), False)])
    poses = Poses(nearer=1, farther=-0.9, shift=0)
    found = marker.mark(view_of(gallery, [1, 1], poses), ASKED, NOWHERE)
    assert not len(found.rows)


def test_half_of_the_kept_masks_are_good(gallery: Gallery, pictures: list[LabelledPicture]) -> None:
    """However many there are."""
    disc = pictures[2].truth("disc")
    part = disc & (torch.arange(120).numpy() % 4 == 0)
    states = [State("p2", "disc", disc, False), *[State("p2", "disc", part, False)] * 15]
    view = view_of(gallery, [2] * 80)
    found = kept(gallery, pictures, states).mark(view, ASKED, NOWHERE)
    truths = truths_of(gallery, view, found.rows, found.targets)
    assert 0.35 < (iou_of(found.masks, truths) > 0.9).float().mean() < 0.65


def test_discs_are_round() -> None:
    """The tool of these tests itself."""
    disc = discs(torch.tensor([[40, 50]]), 10)[0]
    assert disc[40, 60]
    assert not disc[40, 61]
    assert not disc[48, 58]
