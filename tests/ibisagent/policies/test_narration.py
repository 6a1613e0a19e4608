"""Words from measured facts."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibisagent.actions import Click, Reply, Terminate, format_reply, parse
from ibisagent.policies import narration
from ibisagent.policies.narration import Facts, place

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


def spoken(seeds: int = 40) -> set[str]:
    """Everything the templates can say of one target."""
    rngs = [Random(seed) for seed in range(seeds)]
    thoughts = {speak(FACTS, rng) for speak in SPEAKERS for rng in rngs}
    absent = {narration.absent_thought("kidney", rng) for rng in rngs}
    return {*thoughts, *absent, narration.answer(FACTS), narration.absent_answer("kidney")}


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
    assert len({speak(FACTS, Random(seed)) for seed in range(20)}) > 1
    assert speak(FACTS, Random(1)) == speak(FACTS, Random(1))


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
