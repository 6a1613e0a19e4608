"""What a run has kept on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from ibisagent.errors import InvalidRequest
from ibistrain.batches.gallery import Gallery
from ibistrain.clicks.kept_file import read_kept, write_kept
from ibistrain.labelled_picture import LabelledPicture

NAME = "regions.safetensors"


def test_what_is_written_is_read(gallery: Gallery, tmp_path: Path) -> None:
    parts = {"one": torch.arange(6).reshape(2, 3), "two": torch.tensor([True])}
    write_kept(tmp_path / NAME, parts, gallery)
    found = read_kept(tmp_path / NAME, ["one", "two"], gallery)
    assert all(torch.equal(found[name], value) for name, value in parts.items())
    assert [file.name for file in tmp_path.iterdir()] == [NAME]


def test_other_pictures_are_told_apart(
    gallery: Gallery, pictures: list[LabelledPicture], tmp_path: Path
) -> None:
    write_kept(tmp_path / NAME, {"one": torch.zeros(1)}, gallery)
    again = Gallery.of(pictures, {"blobs": 7.0})
    assert read_kept(tmp_path / NAME, ["one"], again)["one"].tolist() == [0]
    darker = dataclasses.replace(pictures[1], rgb=pictures[1].rgb // 2)
    for others in (pictures[:-1], pictures[::-1], [pictures[0], darker, *pictures[2:]]):
        with pytest.raises(InvalidRequest, match="other pictures") as caught:
            read_kept(tmp_path / NAME, ["one"], Gallery.of(others, {}))
        assert str(tmp_path / NAME) in caught.value.fix


@pytest.mark.parametrize("damage", ["cut", "another tensor"])
def test_a_damaged_file_is_named(gallery: Gallery, tmp_path: Path, damage: str) -> None:
    write_kept(tmp_path / NAME, {"one": torch.zeros(100)}, gallery)
    if damage == "cut":
        whole = (tmp_path / NAME).read_bytes()
        (tmp_path / NAME).write_bytes(whole[:-50])
    with pytest.raises(InvalidRequest, match=f"{NAME} is damaged") as caught:
        read_kept(tmp_path / NAME, ["one" if damage == "cut" else "two"], gallery)
    assert "Remove" in caught.value.fix
