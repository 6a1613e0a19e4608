from __future__ import annotations

import subprocess
import sys
import zipfile

import numpy as np
import pytest

from ibisagent.errors import InvalidManifest, OutputNotWritable
from ibistrain.packed_corpus import INDEX, pack, training_pictures, unpack


def test_a_packed_corpus_comes_back_as_it_was(pictures, tmp_path):
    pack(tmp_path / "new" / "corpus.zip", pictures)
    found = unpack(tmp_path / "new" / "corpus.zip")
    assert len(found) == len(pictures)
    for before, after in zip(pictures, found, strict=True):
        assert np.array_equal(before.rgb, after.rgb)
        assert np.array_equal(before.labels, after.labels)
        assert after.targets == before.targets
        named = ("set_name", "subject", "name", "flip")
        assert [getattr(after, n) for n in named] == [getattr(before, n) for n in named]


def test_lossy_pictures_are_near_and_their_labels_exact(pictures, tmp_path):
    pack(tmp_path / "exact.zip", pictures)
    pack(tmp_path / "lossy.zip", pictures, quality=80)
    assert (tmp_path / "lossy.zip").stat().st_size < (tmp_path / "exact.zip").stat().st_size
    for before, after in zip(pictures, unpack(tmp_path / "lossy.zip"), strict=True):
        assert np.abs(before.rgb.astype(int) - after.rgb).mean() < 8
        assert np.array_equal(before.labels, after.labels)


def test_training_takes_a_packed_corpus_for_a_folder(pictures, catalogue, tmp_path):
    pack(tmp_path / "corpus.zip", pictures)
    found = training_pictures(tmp_path / "corpus.zip", catalogue)
    assert [picture.name for picture in found] == [picture.name for picture in pictures]


def _without_labels(path):
    with zipfile.ZipFile(path) as archive:
        kept = {n: archive.read(n) for n in archive.namelist() if not n.endswith(".png")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data)


def _of_another_format(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(INDEX, '{"format": "other/1", "pictures": []}')


def _cut_short(path):
    path.write_bytes(path.read_bytes()[:200])


def _with_a_damaged_picture(path):
    with zipfile.ZipFile(path) as archive:
        kept = {n: archive.read(n) for n in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data[:20] if name == "00000.webp" else data)


@pytest.mark.parametrize(
    "damage", [_without_labels, _of_another_format, _cut_short, _with_a_damaged_picture]
)
def test_a_damaged_corpus_is_refused_with_the_fix(damage, pictures, tmp_path):
    path = tmp_path / "corpus.zip"
    pack(path, pictures)
    damage(path)
    with pytest.raises(InvalidManifest, match="ibistrain pack"):
        unpack(path)


def test_a_corpus_that_cannot_be_written_is_refused_with_the_fix(pictures, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputNotWritable, match="Give a folder"):
        pack(tmp_path / "file" / "corpus.zip", pictures)


def test_training_from_a_packed_corpus_needs_no_image_readers():
    modules = "ibistrain.packed_corpus, ibistrain.embedded, ibistrain.clicks.train"
    code = f"import sys; sys.modules['SimpleITK'] = None; import {modules}"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
