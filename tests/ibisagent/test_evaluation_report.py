"""Means over labels, and the table."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibisagent.episode import StopReason
from ibisagent.evaluation_folder import EvaluationFolder, Row
from ibisagent.evaluation_report import HEADINGS, f1, markdown, summarise, table, write_report
from ibisagent.metrics import entity_f1, iou

GOOD = {"hit": True, "iou": 0.8, "dice": 0.9, "marked": True, "turns": 2, "seconds": 3.0}


def row(label="disc", set_name="s", subject="1", present=True, **fields):
    fields = {"stop": StopReason.TERMINATED, **fields}
    return Row(
        key="k",
        set=set_name,
        item="i",
        subject=subject,
        label=label,
        plane="axial",
        slice=0,
        prompt=f"the {label}",
        present=present,
        **fields,
    )


def test_label_asked_for_often_counts_no_more_than_another():
    report = summarise([row("disc", **GOOD)] * 9 + [row("block")])

    assert report.mean.hit == 0.5
    assert report.mean.dice == pytest.approx(0.45)
    assert report.mean.n == 10
    assert report.sets["s"].labels["disc"].dice == pytest.approx(0.9)
    assert report.sets["s"].mean == report.mean


def test_label_of_a_large_set_counts_no_more_than_one_of_a_small_set():
    rows = [row(label, set_name="large", **GOOD) for label in "abc"] + [row(set_name="small")]

    assert summarise(rows).mean.hit == 0.75


def test_seconds_are_a_turn_and_stops_are_by_itself():
    limit = row(stop=StopReason.STEP_LIMIT, turns=8, seconds=4.0)

    mean = summarise([row(**GOOD), limit]).mean

    assert mean.seconds == pytest.approx(0.7)
    assert mean.turns == 5
    assert mean.stopped == 0.5


def test_absent_labels_count_apart_but_spurious_masks_cost_f1():
    spurious = row(present=False, marked=True)
    right = row(present=False, stop=StopReason.NOT_PRESENT)

    report = summarise([row(**GOOD), spurious, right])

    assert (report.absent.n, report.absent.recognised) == (2, 0.5)
    assert report.mean.dice == pytest.approx(0.9)
    assert report.mean.f1 == pytest.approx(2 / 3)


@pytest.mark.parametrize("stop", [StopReason.MALFORMED, StopReason.STEP_LIMIT])
def test_empty_mask_of_an_agent_that_never_answered_is_no_recognition(stop):
    assert summarise([row(present=False, stop=stop)]).absent.recognised == 0.0


def test_what_the_model_does_not_know_is_counted_but_not_averaged():
    report = summarise([row(**GOOD), row("block", known=False), row("block", known=False)])

    assert report.not_asked == {"block": 2}
    assert report.mean.n == 1
    assert "block (2)" in markdown(report)


def test_nothing_known_has_no_mean():
    report = summarise([row(known=False)])

    assert report.mean is None
    assert list(table(report)) == []


def test_subjects_are_counted_once_a_set():
    rows = [row(subject="1"), row(subject="1"), row(subject="2"), row(set_name="t", subject="1")]

    assert summarise(rows).mean.subjects == 3


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8))
def test_f1_is_that_of_the_metric(bits):
    pairs = [tuple(np.array([bool(value & 1), bool(value & 2)]) for value in pair) for pair in bits]
    rows = [
        row(present=bool(truth.any()), marked=bool(mask.any()), iou=iou(mask, truth))
        for mask, truth in pairs
    ]

    assert f1(rows) == entity_f1(pairs)


def test_table_has_labels_then_their_mean_then_all():
    rows = [row("a", **GOOD), row("b", **GOOD), row("c", set_name="t", present=True)]
    rows.append(row("c", set_name="t", present=False, stop=StopReason.NOT_PRESENT))

    lines = list(table(summarise(rows)))

    assert [line[:2] for line in lines] == [
        ("s", "a"),
        ("s", "b"),
        ("s", "mean of 2"),
        ("t", "c"),
        ("all", "mean of 3"),
    ]
    assert all(len(line) == len(HEADINGS) for line in lines)
    assert [line[-1] for line in lines] == ["", "", "", "1.00 of 1", "1.00 of 1"]
    short = table(summarise(rows), labels=False)
    assert [line[0] for line in short] == ["s", "t", "all"]


def test_report_is_written_with_everything_needed_to_repeat_it(tmp_path):
    folder = EvaluationFolder(tmp_path, {"seed": 3, "version": "0"})

    write_report(folder, [row(**GOOD)], "ibisagent evaluate s", {"cores": 2})

    results = json.loads((tmp_path / "results.json").read_text())
    assert results["command"] == "ibisagent evaluate s"
    assert results["machine"] == {"cores": 2}
    assert results["settings"] == {"seed": 3, "version": "0"}
    assert results["sets"]["s"]["labels"]["disc"]["iou"] == pytest.approx(0.8)
    assert (results["n"], len(results["rows"])) == (1, 1)
    assert "| s | disc | 1 | 1 | 1.00 |" in (tmp_path / "table.md").read_text()
