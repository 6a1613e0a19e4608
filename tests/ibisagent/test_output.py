from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ibisagent.errors import OutputNotWritable
from ibisagent.output import make_folder, write_whole


def test_folder_is_made_with_its_parents_and_left_empty(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")

    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("name", ["taken", "taken/inside"])
def test_file_in_place_of_a_folder_is_said(tmp_path, name):
    (tmp_path / "taken").write_text("precious")

    with pytest.raises(OutputNotWritable, match="a file stands where a folder"):
        make_folder(tmp_path / name)

    assert (tmp_path / "taken").read_text() == "precious"


def test_name_that_no_file_system_takes_is_said():
    with pytest.raises(OutputNotWritable, match="null"):
        make_folder(Path("bad\0name"))


def test_write_whole_replaces_and_leaves_nothing_else(tmp_path):
    file = tmp_path / "file"
    write_whole(file, b"old")
    write_whole(file, b"new")

    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


def test_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_bytes(b"old")

    def fail(path, data):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OutputNotWritable, match="No space left"):
        write_whole(file, b"new")

    monkeypatch.undo()
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]
