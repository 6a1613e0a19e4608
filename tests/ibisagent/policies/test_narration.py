"""Words from measured facts."""

from __future__ import annotations

from functools import partial
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibisagent.actions import Click, Reply, Terminate, format_reply, parse
from ibisagent.policies import narration
from ibisagent.policies.narration import Facts, place
from ibisagent.policies.wording import SHORT, VARIED, WORDINGS

unhurried = settings(deadline=None)  # wall time says more of the machine than of the code

SPEAKERS = (
    narration.first_thought,
    narration.missed_thought,
    narration.spilled_thought,
    narration.elsewhere_thought,
    narration.done_thought,
)
NINE = [
    ["upper left", "upper centre", "upper right"],
    ["left", "centre", "right"],
    ["lower left", "lower centre", "lower right"],
]
FACTS = Facts("kidney", "upper left", "small")


REFLECTIONS = (
    *(partial(narration.noticed_thought, positive=sign) for sign in (True, False)),
    *(partial(narration.discarded_thought, positive=sign) for sign in (True, False)),
    narration.discarded_absent_thought,
    narration.enough_thought,
    narration.yes_answer,
)


def spoken(seeds: int = 60) -> set[str]:
    """Everything the templates can say of one target."""
    said = {narration.answer(FACTS), narration.absent_answer("kidney")}
    for wording, rng in product(WORDINGS.values(), map(Random, range(seeds))):
        said |= {say(FACTS, rng=rng, wording=wording) for say in (*SPEAKERS, *REFLECTIONS)}
        said |= {narration.hasty_thought("kidney", sign, rng, wording) for sign in (True, False)}
        said |= {narration.absent_thought("kidney", rng, wording)}
        said |= {narration.no_answer("kidney", rng, wording)}
    return said


@pytest.mark.parametrize("shape", [(9, 9), (10, 31), (336, 512)])
@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("column", range(3))
def test_nine_cells(row: int, column: int, shape: tuple[int, int]) -> None:
    region = np.zeros(shape, dtype=bool)
    region[int((row + 0.5) / 3 * shape[0]), int((column + 0.5) / 3 * shape[1])] = True
    assert place(region) == NINE[row][column]


@unhurried
@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_a_pixel_is_named_after_its_own_cell(height: int, width: int, data: st.DataObject) -> None:
    row, column = (data.draw(st.integers(0, size - 1)) for size in (height, width))
    region = np.zeros((height, width), dtype=bool)
    region[row, column] = True
    # In whole numbers: the pixel's centre, in thirds of the picture.
    cell = 3 * (2 * row + 1) // (2 * height), 3 * (2 * column + 1) // (2 * width)
    on_border = 3 * (2 * row + 1) % (2 * height) == 0 or 3 * (2 * column + 1) % (2 * width) == 0
    assert place(region) == NINE[cell[0]][cell[1]] or on_border


@unhurried
@given(st.integers(1, 12), st.integers(1, 12))
def test_the_whole_picture_is_in_the_centre(height: int, width: int) -> None:
    assert place(np.ones((height, width), dtype=bool)) == "centre"


def test_an_empty_region_is_nowhere() -> None:
    assert place(np.zeros((4, 4), dtype=bool)) == "nowhere"


@pytest.mark.parametrize(
    ("pixels", "size"), [(1, "small"), (99, "small"), (101, "medium sized"), (1001, "large")]
)
def test_sizes(pixels: int, size: str) -> None:
    region = np.zeros(10_000, dtype=bool)
    region[:pixels] = True
    assert Facts.of(region.reshape(100, 100), "kidney").size == size


def test_no_template_holds_grammar_or_open_places() -> None:
    for text in spoken():
        assert not any(mark in text for mark in "<>{}")
        assert parse(format_reply(Reply(text, Click(0.5, 0.5)))) == Reply(text, Click(0.5, 0.5))
        stop = Reply(text, Terminate(), text)
        assert parse(format_reply(stop)) == stop


def test_every_text_names_the_target_and_is_a_sentence() -> None:
    for text in spoken():
        assert "kidney" in text
        assert text[0].isupper()
        assert text.endswith(".")


@pytest.mark.parametrize("speak", SPEAKERS)
def test_words_vary_and_can_be_repeated(speak) -> None:
    assert len({speak(FACTS, Random(seed), VARIED) for seed in range(20)}) > 1
    assert speak(FACTS, Random(1), VARIED) == speak(FACTS, Random(1), VARIED)


def test_one_word_decides_in_a_small_models_words_whether_to_stop_and_whether_it_is_there() -> None:
    """Greedy decoding takes the likeliest word, not the likeliest kind of reply."""
    first, *clicks, done = ({s(FACTS, Random(n)) for n in range(9)} for s in SPEAKERS)
    absent = {narration.absent_thought("kidney", Random(n)) for n in range(9)}
    assert {text.split()[0] for text in set().union(first, absent, *clicks)} == {"I"}
    assert {text.split()[0] for text in done} == {"The"}
    assert {" ".join(text.split()[:3]) for text in first} == {"I see the"}
    assert {" ".join(text.split()[:3]) for text in absent} == {"I see no"}


def test_facts_are_told() -> None:
    for seed in range(10):
        for speak in (narration.missed_thought, narration.spilled_thought):
            assert "upper left" in speak(FACTS, Random(seed))
        assert "small" in narration.first_thought(FACTS, Random(seed))
    assert narration.answer(FACTS) == "The kidney is in the upper left of the image, small."


def test_a_targets_braces_are_only_text() -> None:
    assert "{place} {0}" in narration.first_thought(
        Facts("{place} {0}", "centre", "small"), Random(0)
    )


def test_the_varied_wording_is_varied() -> None:
    for speak in SPEAKERS:
        assert len({speak(FACTS, Random(seed), VARIED) for seed in range(60)}) >= 8
    for speak in REFLECTIONS:
        assert len({speak(FACTS, rng=Random(seed), wording=VARIED) for seed in range(40)}) > 1


def test_a_small_model_reflects_in_the_words_that_it_has_learnt() -> None:
    known = {say(FACTS, Random(n), SHORT) for say in SPEAKERS for n in range(9)}
    known |= {narration.answer(FACTS), narration.absent_answer("kidney")}
    said = {say(FACTS, rng=Random(n), wording=SHORT) for say in REFLECTIONS for n in range(9)}
    said |= {narration.no_answer("kidney", Random(0), SHORT)}
    assert {text.replace("I remove it", "I click on it") for text in said - known} <= known


def test_no_measure_is_told() -> None:
    """What a picture does not show, a thought may not say."""
    for text in spoken():
        assert not any(word in text.lower() for word in ("iou", "dice", "truth", "%"))
        assert not any(letter.isdigit() for letter in text)


def test_answers_to_questions_begin_with_yes_and_no() -> None:
    for seed in range(10):
        assert narration.yes_answer(FACTS, Random(seed), VARIED).startswith("Yes")
        assert narration.no_answer("kidney", Random(seed), VARIED).startswith("No")


@pytest.mark.parametrize(
    ("pixels", "missing", "surplus"),
    [
        (5, "a small part", "a little"),
        (20, "a part", "clearly"),
        (50, "about half", "far"),
        (90, "most", "far"),
    ],
)
def test_amounts_are_measured_beside_the_target(pixels: int, missing: str, surplus: str) -> None:
    truth = np.zeros((20, 20), dtype=bool)
    truth.ravel()[:100] = True
    part = np.zeros_like(truth)
    part.ravel()[:pixels] = True
    assert Facts.missing(part, truth, "kidney").amount == missing
    assert Facts.surplus(part, truth, "kidney").amount == surplus
    assert Facts.surplus(part, truth & False, "kidney").amount == "far"


def test_amounts_are_told() -> None:
    facts = Facts("kidney", "left", "small", "about half")
    for seed in range(20):
        assert "about half" in narration.missed_thought(facts, Random(seed), VARIED).lower()
