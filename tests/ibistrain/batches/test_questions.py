"""What is asked about posed pictures."""

from __future__ import annotations

import dataclasses

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ibistrain.batches.gallery import Gallery
from ibistrain.batches.questions import Questions, draw_questions, one_a_picture
from ibistrain.labelled_picture import MIN_SHARE

AREAS = st.lists(
    st.lists(st.sampled_from([0.0, MIN_SHARE / 2, MIN_SHARE, 0.1, 1.0]), min_size=4, max_size=4),
    min_size=1,
    max_size=6,
)
unhurried = settings(deadline=None)  # wall time says more of the machine


def with_known(gallery: Gallery, known: Tensor, never: Tensor | None = None) -> Gallery:
    """Pictures that answer for some of the four targets only, one kind a picture."""
    never = torch.zeros_like(known) if never is None else never
    return dataclasses.replace(gallery, known=known, never=never, kinds=torch.arange(len(known)))


def asked(
    gallery: Gallery,
    areas: Tensor,
    most: int,
    absent: float,
    strange: float = 0.0,
    seed: int = 0,
) -> tuple[Questions, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.arange(len(areas)) % len(gallery.kinds)
    questions = draw_questions(gallery, drawn, areas, most, absent, strange, generator)
    return questions, drawn


@unhurried
@given(AREAS, st.integers(0, 5), st.floats(0, 1), st.integers(0, 9), st.data())
def test_questions_are_about_what_can_be_answered(
    gallery: Gallery, shares: list, most: int, absent: float, seed: int, data: st.DataObject
) -> None:
    areas = torch.tensor(shares)
    known = torch.tensor(
        data.draw(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=6, max_size=6))
    )
    questions, drawn = asked(with_known(gallery, known), areas, most, absent, seed=seed)
    assert len(questions) == len(questions.targets)
    assert questions.rows.tolist() == sorted(questions.rows.tolist())
    pairs = list(zip(questions.rows.tolist(), questions.targets.tolist(), strict=True))
    assert len(pairs) == len(set(pairs))
    for row, picture in enumerate(drawn):
        there = known[picture] & (areas[row] >= MIN_SHARE)
        mine = questions.targets[questions.rows == row]
        assert known[picture][mine].all()
        assert int(there[mine].sum()) == min(most, int(there.sum()))
        others = mine[~there[mine]]
        assert len(others) <= 1
        assert not areas[row][others].any()


def test_absent_targets_are_asked_for_now_and_then(gallery: Gallery) -> None:
    areas = torch.tensor([[0.1, 0.2, 0.0, 0.3]]).expand(400, -1)
    for absent in (0.0, 0.3, 1.0):
        questions, _ = asked(gallery, areas, 1, absent)
        share = (questions.targets == 2).sum() / 400
        assert abs(float(share) - absent) < 0.07
        assert len(questions) == 400 + int((questions.targets == 2).sum())


@unhurried
@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 9))
def test_what_is_never_there_is_asked_for_beside_what_is_not(
    gallery: Gallery, absent: float, strange: float, seed: int
) -> None:
    known = torch.tensor([[True, True, False, False]])
    gallery = with_known(gallery, known, torch.tensor([[False, False, True, True]]))
    areas = torch.tensor([[0.1, 0.0, 0.0, 0.0]]).expand(400, -1)
    questions, _ = asked(gallery, areas, 1, absent, strange, seed)
    counts = questions.targets.bincount(minlength=4) / 400
    assert counts[0] == 1
    assert abs(float(counts[1]) - absent) < 0.1
    assert abs(float(counts[2:].sum()) - strange) < 0.1
    strangers = questions.rows[questions.targets >= 2]
    assert len(strangers) == len(strangers.unique())
    assert abs(float(counts[2] - counts[3])) < 0.12


def test_every_target_has_the_same_chance(gallery: Gallery) -> None:
    areas = torch.tensor([[0.9, 0.01, 0.0, 0.3]]).expand(900, -1)
    questions, _ = asked(gallery, areas, 1, 0.0)
    counts = questions.targets.bincount(minlength=4)
    assert counts[2] == 0
    assert counts[[0, 1, 3]].min() > 250


@unhurried
@given(st.lists(st.integers(0, 7), max_size=20), st.integers(0, 99))
def test_one_question_a_picture(rows: list[int], seed: int) -> None:
    questions = Questions(torch.tensor(sorted(rows), dtype=torch.int64), torch.zeros(len(rows)))
    chosen = one_a_picture(questions, 8, torch.Generator().manual_seed(seed))
    assert questions.rows[chosen].tolist() == sorted(set(rows))


def test_each_question_of_a_picture_may_be_the_one(generator: torch.Generator) -> None:
    questions = Questions(torch.tensor([0, 1, 1, 1]), torch.zeros(4))
    chosen = [tuple(one_a_picture(questions, 2, generator).tolist()) for _ in range(60)]
    assert set(chosen) == {(0, 1), (0, 2), (0, 3)}
