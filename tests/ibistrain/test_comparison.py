"""Which of two models is better, and how sure that is."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ibisagent.episode import StopReason
from ibisagent.errors import InvalidRequest
from ibisagent.evaluation_folder import Row
from ibisagent.evaluation_report import summarise
from ibistrain.comparison import Comparison, Rule, compare, compare_rows

unhurried = settings(deadline=None, max_examples=20)  # wall time says more of the machine

GOOD = {"stop": StopReason.NOT_PRESENT, "marked": False}
BAD = {"stop": StopReason.TERMINATED, "marked": True}


def row(subject: str, label: str = "disc", number: int = 0, **fields) -> Row:
    set_name = fields.pop("set", "discs")
    return Row(
        key=f"{set_name}/{subject}/{label}/{number}",
        set=set_name,
        item=subject,
        subject=subject,
        label=label,
        plane="picture",
        slice=number,
        prompt=f"the {label}",
        present=fields.pop("present", True),
        **{"stop": StopReason.TERMINATED, "turns": 2, **fields},
    )


def rows(dices: Sequence[float]) -> list[Row]:
    """One question a subject."""
    return [row(f"s{number}", dice=value) for number, value in enumerate(dices)]


def write(folder, name: str, rows: Sequence[Row]):
    file = folder / name / "results.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"rows": [one.model_dump(mode="json") for one in rows]}))
    return file


def test_two_subjects_by_hand():
    """Draws of two subjects have the means a, (a+b)/2 twice and b: a quarter of them each."""
    change = compare_rows(rows([0.2, 0.6]), rows([0.5, 0.6])).dice
    assert change.before.mean == pytest.approx(0.4)
    assert (change.before.low, change.before.high) == (pytest.approx(0.2), pytest.approx(0.6))
    assert change.difference.mean == pytest.approx(0.15)
    assert change.difference.low == pytest.approx(0.0)
    assert change.difference.high == pytest.approx(0.3)


def test_intervals_are_those_of_scipy():
    rng = np.random.default_rng(4)
    before, after = rng.uniform(0, 1, 40), rng.uniform(0.2, 1, 40)
    ours = compare_rows(rows(before.tolist()), rows(after.tolist()), seed=1).dice
    for values, interval in (
        (before, ours.before),
        (after, ours.after),
        (after - before, ours.difference),
    ):
        theirs = stats.bootstrap(
            (values,), np.mean, n_resamples=4000, method="percentile", random_state=2
        ).confidence_interval
        assert interval.mean == pytest.approx(values.mean())
        assert interval.low == pytest.approx(theirs.low, abs=0.015)
        assert interval.high == pytest.approx(theirs.high, abs=0.015)


def test_pictures_of_one_subject_are_one_draw():
    """Many questions about few subjects must not make the interval narrow."""
    few = [row(f"s{s}", number=n, dice=s / 3) for s in range(4) for n in range(25)]
    wide = compare_rows(few, few).dice.before
    single = compare_rows(*[rows([s / 3 for s in range(4)])] * 2).dice.before
    assert (wide.low, wide.high) == (pytest.approx(single.low), pytest.approx(single.high))


def test_means_are_those_of_the_evaluations_table():
    mixed = [row(f"s{n % 3}", "disc", n, dice=0.1 * n) for n in range(7)]
    mixed += [row("s0", "block", 0, dice=0.9), row("x", "blob", 0, set="blobs", dice=0.2)]
    comparison = compare_rows(mixed, mixed)
    assert comparison.dice.after.mean == pytest.approx(summarise(mixed).mean.dice)
    assert (comparison.n, comparison.subjects) == (9, 4)


def test_every_set_is_in_every_draw():
    """One subject in each of two sets: no draw can lose a set, so nothing varies."""
    two = [row("a", dice=0.0), row("b", set="other", dice=1.0)]
    before = compare_rows(two, two).dice.before
    assert before.low == before.high == pytest.approx(0.5)


def test_equal_seeds_give_equal_intervals_and_order_means_nothing():
    before, after = rows([0.1, 0.5, 0.4, 0.9]), rows([0.3, 0.4, 0.6, 0.9])
    assert compare_rows(before, after, 3) == compare_rows(before, after, 3)
    assert compare_rows(before, after[::-1], 3) == compare_rows(before, after, 3)


@unhurried
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.data())
def test_means_lie_in_their_intervals_and_exchange_changes_the_sign(before, data):
    size = len(before)
    after = data.draw(st.lists(st.floats(0, 1), min_size=size, max_size=size))
    there = compare_rows(rows(before), rows(after)).dice.difference
    back = compare_rows(rows(after), rows(before)).dice.difference
    assert there.low - 1e-9 <= there.mean <= there.high + 1e-9
    assert there.mean == pytest.approx(-back.mean)
    assert there.low == pytest.approx(-back.high, abs=1e-9)


def compared(before: Sequence[float], after: Sequence[float]) -> Comparison:
    return compare_rows(rows(before), rows(after))


def test_a_gain_in_every_subject_is_better():
    assert compared([0.4, 0.5, 0.6], [0.5, 0.6, 0.7]).better()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ([0.5, 0.5], [0.5, 0.5], "Mean Dice changed by"),
        ([0.5, 0.6], [0.4, 0.5], "Mean Dice changed by"),
        ([0.5, 0.5, 0.5, 0.5], [0.1, 1.0, 0.2, 1.0], "The loss may be"),
        ([0.5], [0.9], "too few"),
    ],
)
def test_what_is_not_better_says_why(before, after, words):
    comparison = compared(before, after)
    assert not comparison.better()
    assert any(words in objection for objection in comparison.objections())


def test_the_rule_can_be_stricter():
    comparison = compared([0.40, 0.50], [0.41, 0.51])
    assert comparison.better()
    assert not comparison.better(Rule(gain=0.05))
    assert not comparison.better(Rule(subjects=3))


def test_marking_what_is_not_there_is_held_against_it():
    absent = [row(f"s{n}", "star", present=False, **GOOD) for n in range(2)]
    marked = [row(f"s{n}", "star", present=False, **BAD) for n in range(2)]
    comparison = compare_rows(rows([0.4, 0.5]) + absent, rows([0.6, 0.7]) + marked)
    assert comparison.absent.difference.mean == -1
    assert comparison.objections() == ["Absent targets are recognised less often (-1.00)."]


def test_to_go_on_without_an_end_is_held_against_it():
    endless = [
        one.model_copy(update={"stop": StopReason.REPEATED_ACTION}) for one in rows([0.6] * 4)
    ]
    comparison = compare_rows(rows([0.4] * 4), endless)
    assert comparison.objections() == ["It ends by itself less often (-1.00)."]
    assert comparison.better(Rule(stop_margin=1))


def test_a_question_that_a_model_refuses_counts_as_missed():
    refused = [row("s0", dice=0.8), row("s1", known=False, stop=None, turns=0)]
    comparison = compare_rows(refused, rows([0.8, 0.6]))
    assert comparison.dice.before.mean == pytest.approx(0.4)
    assert comparison.turns.n == 1


def test_files_and_folders_are_read(tmp_path):
    before, after = write(tmp_path, "a", rows([0.1])), write(tmp_path, "b", rows([0.2]))
    assert compare(before, after.parent).dice.difference.mean == pytest.approx(0.1)


def test_other_questions_are_refused():
    with pytest.raises(InvalidRequest, match="different questions"):
        compare_rows(rows([0.1, 0.2]), rows([0.1]))


def test_absent_targets_alone_are_refused():
    absent = [row("s", present=False)]
    with pytest.raises(InvalidRequest, match="nothing that is there"):
        compare_rows(absent, absent)


@pytest.mark.parametrize("text", ["", "{}", '{"rows": [{"dice": 1}]}', '{"rows": 3}'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(InvalidRequest, match="not the result of an evaluation"):
        compare(tmp_path, tmp_path)


def test_the_table_shows_each_figure():
    table = compared([0.4, 0.5], [0.5, 0.6]).markdown()
    assert "| Dice | 2 | 0.450 [0.400, 0.500] | 0.550" in table
    assert "absent" not in table
