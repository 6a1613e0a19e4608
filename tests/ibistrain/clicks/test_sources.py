"""Pictures for the tool's training, posed anew or kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ibisagent.errors import InvalidRequest
from ibisagent.tools.litemedsam_net import LiteMedSAMNet
from ibistrain.batches.gallery import Gallery
from ibistrain.clicks import sources
from ibistrain.clicks.sources import Anew, Kept, keep


@pytest.fixture(autouse=True)
def pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures a file, since embedding takes long."""
    monkeypatch.setattr(sources, "AT_ONCE", 2)


@pytest.fixture
def anew(gallery: Gallery) -> Anew:
    return Anew(gallery, torch.zeros_like(gallery.labels))


@pytest.fixture
def kept(anew: Anew, net: LiteMedSAMNet, tmp_path: Path) -> Kept:
    return keep(tmp_path, net, anew.gallery, 3, 3, seed=1)


def test_pictures_are_posed_anew_each_time(anew: Anew, generator: torch.Generator) -> None:
    first, second = anew.draw(3, generator), anew.draw(3, generator)
    assert len(first.numbers) == len(first.squares.images) == 3
    assert first.embeddings is None
    assert not torch.equal(first.squares.images, second.squares.images)


def test_kept_pictures_come_again_with_their_embeddings(
    kept: Kept, net: LiteMedSAMNet, generator: torch.Generator
) -> None:
    assert len(kept.numbers) == len(kept.embeddings) == 3
    posed = kept.draw(6, generator)
    assert posed.embeddings is not None
    with torch.no_grad():
        expected = net.image_encoder(posed.squares.images)
    assert torch.allclose(posed.embeddings, expected, atol=1e-2)
    for image, labels, number in zip(
        posed.squares.images, posed.squares.labels, posed.numbers, strict=True
    ):
        (row,) = [n for n in range(3) if torch.equal(kept.squares.images[n], image)]
        assert torch.equal(kept.squares.labels[row], labels)
        assert kept.numbers[row] == number


def test_kept_pictures_are_searched_for_regions(
    gallery: Gallery, real_net: LiteMedSAMNet, tmp_path: Path
) -> None:
    kept = keep(tmp_path, real_net, gallery, 2, 8, seed=1)
    assert kept.squares.regions.any()
    assert not kept.squares.regions[~kept.squares.inside].any()


def test_without_boxes_there_are_no_regions(
    gallery: Gallery, net: LiteMedSAMNet, tmp_path: Path
) -> None:
    assert not keep(tmp_path, net, gallery, 2, 0, seed=1).squares.regions.any()


def test_what_was_made_before_a_run_was_killed_is_not_made_again(
    kept: Kept, net: LiteMedSAMNet, tmp_path: Path
) -> None:
    first, second = sorted(tmp_path.iterdir())
    second.unlink()
    made = first.stat().st_mtime_ns
    again = keep(tmp_path, net, kept.gallery, 3, 3, seed=1)
    assert first.stat().st_mtime_ns == made
    assert sorted(tmp_path.iterdir()) == [first, second]
    assert torch.equal(again.numbers, kept.numbers)
    assert torch.equal(again.embeddings, kept.embeddings)
    for name, part in vars(kept.squares).items():
        assert torch.equal(vars(again.squares)[name], part), name


def test_more_pictures_are_added_to_those_that_are_there(
    kept: Kept, net: LiteMedSAMNet, tmp_path: Path
) -> None:
    more = keep(tmp_path, net, kept.gallery, 5, 3, seed=1)
    assert len(more.numbers) == 5
    assert torch.equal(more.embeddings[:3], kept.embeddings)
    assert len(list(tmp_path.iterdir())) == 3


def test_pictures_of_another_seed_are_not_taken_up(
    kept: Kept, net: LiteMedSAMNet, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest, match=r"--seed 1, not with --boxes 3 --seed 2"):
        keep(tmp_path, net, kept.gallery, 3, 3, seed=2)
