"""What a run has kept on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ibisagent.errors import InvalidRequest
from ibistrain.batches.gallery import Gallery
from ibistrain.clicks.kept_file import kept_settings, read_kept, write_kept
from ibistrain.labelled_picture import LabelledPicture

NAME = "regions.safetensors"
SETTINGS = kept_settings(boxes=8, seed=1)


def test_what_is_written_is_read(gallery: Gallery, tmp_path: Path) -> None:
    parts = {"one": torch.arange(6).reshape(2, 3), "two": torch.tensor([True])}
    write_kept(tmp_path / NAME, parts, gallery, SETTINGS)
    found = read_kept(tmp_path / NAME, ["one", "two"], gallery, SETTINGS)
    assert all(torch.equal(found[name], value) for name, value in parts.items())
    assert [file.name for file in tmp_path.iterdir()] == [NAME]


def test_other_pictures_are_told_apart(
    gallery: Gallery, pictures: list[LabelledPicture], tmp_path: Path
) -> None:
    write_kept(tmp_path / NAME, {"one": torch.zeros(1)}, gallery, SETTINGS)
    again = Gallery.of(pictures, {"blobs": 7.0})
    assert read_kept(tmp_path / NAME, ["one"], again, SETTINGS)["one"].tolist() == [0]
    darker = dataclasses.replace(pictures[1], rgb=pictures[1].rgb // 2)
    for others in (pictures[:-1], pictures[::-1], [pictures[0], darker, *pictures[2:]]):
        with pytest.raises(InvalidRequest, match="other pictures") as caught:
            read_kept(tmp_path / NAME, ["one"], Gallery.of(others, {}), SETTINGS)
        assert str(tmp_path / NAME) in caught.value.fix


@pytest.mark.parametrize("damage", ["cut", "another tensor"])
def test_a_damaged_file_is_named(gallery: Gallery, tmp_path: Path, damage: str) -> None:
    write_kept(tmp_path / NAME, {"one": torch.zeros(100)}, gallery, SETTINGS)
    if damage == "cut":
        whole = (tmp_path / NAME).read_bytes()
        (tmp_path / NAME).write_bytes(whole[:-50])
    with pytest.raises(InvalidRequest, match=f"{NAME} is damaged") as caught:
        read_kept(tmp_path / NAME, ["one" if damage == "cut" else "two"], gallery, SETTINGS)
    assert "Remove" in caught.value.fix


def test_other_settings_are_told_apart(gallery: Gallery, tmp_path: Path) -> None:
    write_kept(tmp_path / NAME, {"one": torch.zeros(1)}, gallery, SETTINGS)
    with pytest.raises(InvalidRequest, match=r"--boxes 8 --seed 1, not with --boxes 8 --seed 2"):
        read_kept(tmp_path / NAME, ["one"], gallery, kept_settings(boxes=8, seed=2))


def test_a_file_without_settings_is_not_taken(gallery: Gallery, tmp_path: Path) -> None:
    file = tmp_path / NAME
    save_file({"one": torch.zeros(1)}, file, metadata={"corpus": gallery.fingerprint})
    with pytest.raises(InvalidRequest, match="does not name") as caught:
        read_kept(file, ["one"], gallery, SETTINGS)
    assert str(file) in caught.value.fix
