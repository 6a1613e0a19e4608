"""What is finished survives, and settings do not mix."""

from __future__ import annotations

import pytest

from ibisagent.errors import InvalidRequest, OutputNotWritable
from ibisagent.evaluation_folder import EvaluationFolder, Row

SETTINGS = {"seed": 0, "policy": "a"}


def row(key="a", **fields):
    common = {"set": "s", "item": "i", "subject": "1", "label": "disc", "plane": "axial"}
    return Row(key=key, **common, slice=0, prompt="the disc", present=True, **fields)


def test_rows_come_back(tmp_path):
    EvaluationFolder(tmp_path / "new", SETTINGS).append([row("a", dice=0.5), row("b")])
    folder = EvaluationFolder(tmp_path / "new", SETTINGS)
    folder.append([row("c")])

    assert folder.rows() == [row("a", dice=0.5), row("b"), row("c")]


def test_line_that_a_kill_cut_off_is_dropped(tmp_path):
    folder = EvaluationFolder(tmp_path, SETTINGS)
    folder.append([row("a"), row("b")])
    text = (tmp_path / "rows.jsonl").read_text()
    (tmp_path / "rows.jsonl").write_text(text[:-20])

    assert folder.rows() == [row("a")]
    folder.append([row("b")])
    assert folder.rows() == [row("a"), row("b")]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 1, "policy": "a"}, "seed was 0 and is now 1"),
        ({"seed": 0, "policy": "b"}, "policy was 'a' and is now 'b'"),
        ({"seed": 0}, "policy was 'a' and is now None"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, changed, said):
    EvaluationFolder(tmp_path, SETTINGS)

    with pytest.raises(InvalidRequest, match=said) as refused:
        EvaluationFolder(tmp_path, changed)

    assert "--out" in refused.value.fix


def test_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")

    with pytest.raises(OutputNotWritable):
        EvaluationFolder(tmp_path / "taken", SETTINGS)


def test_damaged_settings_are_said(tmp_path):
    (tmp_path / "settings.json").write_text("{")

    with pytest.raises(OutputNotWritable, match="damaged"):
        EvaluationFolder(tmp_path, SETTINGS)
