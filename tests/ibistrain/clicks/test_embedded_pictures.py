"""Pictures that are embedded once and read often."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from ibisagent.tools.litemedsam_net import SIDE, LiteMedSAMNet
from ibistrain.clicks import embedded_pictures
from ibistrain.clicks.embedded_pictures import EmbeddedPicture, changed, embed_pictures
from ibistrain.corpus import LabelledPicture


@pytest.fixture(scope="module")
def net() -> LiteMedSAMNet:
    return LiteMedSAMNet("cpu")


@pytest.fixture(scope="module")
def folder(
    pictures: list[LabelledPicture],
    net: LiteMedSAMNet,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("pictures")
    embed_pictures(pictures, {"blobs": 1.0}, net, path, 2)
    return path


def test_a_picture_is_embedded_with_its_labels(folder: Path) -> None:
    picture = EmbeddedPicture.load(folder / "00000.npz")
    height, width = picture.inner
    assert picture.embedding.shape == (256, SIDE // 4, SIDE // 4)
    assert max(height, width) == SIDE
    assert set(np.unique(picture.labels)) <= {0, 1, 2}
    assert picture.labels.any()
    assert not picture.labels[height:].any()
    assert not picture.labels[:, width:].any()
    assert not picture.regions[:, height:].any()


def test_a_broken_off_folder_is_continued_with_the_same_pictures(
    folder: Path, pictures: list[LabelledPicture], net: LiteMedSAMNet
) -> None:
    first, second = (folder / f"0000{n}.npz" for n in range(2))
    before, kept = second.read_bytes(), first.stat().st_mtime_ns
    second.unlink()
    embed_pictures(pictures, {"blobs": 1.0}, net, folder, 2)
    assert second.read_bytes() == before
    assert first.stat().st_mtime_ns == kept
    assert sorted(path.name for path in folder.iterdir()) == ["00000.npz", "00001.npz"]


def test_reading_gives_what_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    written = EmbeddedPicture(
        rng.random((2, 3, 3)).astype(np.float16),
        rng.integers(0, 9, (SIDE, SIDE)).astype(np.uint8),
        rng.random((3, SIDE, SIDE)) > 0.5,
        (SIDE, 100),
        ((1, 2), (7,)),
    )
    written.save(tmp_path / "p.npz")
    read = EmbeddedPicture.load(tmp_path / "p.npz")
    assert np.array_equal(read.embedding, written.embedding)
    assert np.array_equal(read.labels, written.labels)
    assert np.array_equal(read.regions, written.regions)
    assert read.inner == written.inner
    assert read.targets == written.targets


def test_labels_move_with_the_picture(
    pictures: list[LabelledPicture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_pictures, "REPAINTED", 0.0)
    monkeypatch.setattr(embedded_pictures, "INVERTED", 0.0)
    for seed in range(12):
        rgb, labels = changed(pictures[0], Random(seed))
        grey = rgb.mean(-1)
        disc, square = grey[labels == 1], grey[labels == 2]
        if min(disc.size, square.size) > 100:
            assert disc.mean() > square.mean() + 40  # bright disc, dark square
