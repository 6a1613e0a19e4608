"""A corpus in the memory of a device."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ibisagent.errors import InvalidRequest
from ibistrain.batches.gallery import Gallery
from ibistrain.labelled_picture import MAX_SIDE, LabelledPicture


@pytest.fixture(scope="module")
def mixed(pictures: list[LabelledPicture]) -> list[LabelledPicture]:
    """Pictures of two sets that answer for different things, and one that shows nothing."""
    other = dataclasses.replace(
        pictures[1], set_name="other", targets={"box": (2,), "disc": (1,)}, flip=True
    )
    nothing = dataclasses.replace(pictures[2], labels=np.zeros_like(pictures[2].labels))
    small = dataclasses.replace(
        pictures[3], rgb=pictures[3].rgb[:70, :50], labels=pictures[3].labels[:70, :50]
    )
    return [*pictures[:4], other, nothing, small]


@pytest.fixture(scope="module")
def hung(mixed: list[LabelledPicture]) -> Gallery:
    return Gallery.of(mixed, {"blobs": 3.0, "other": 1.0})


def test_pictures_lie_in_the_upper_left_corners(
    hung: Gallery, mixed: list[LabelledPicture]
) -> None:
    for number, picture in enumerate(mixed):
        height, width = picture.labels.shape
        assert hung.sizes[number].tolist() == [height, width]
        shown = hung.pictures[number].permute(1, 2, 0)
        assert np.array_equal(shown[:height, :width], picture.rgb)
        assert np.array_equal(hung.labels[number, :height, :width], picture.labels)
        for rest in (shown[height:], shown[:, width:], hung.labels[number, height:]):
            assert not rest.any()
    assert hung.pictures.shape == (len(mixed), 3, MAX_SIDE, MAX_SIDE)
    assert hung.flips.tolist() == [picture.flip for picture in mixed]
    assert hung.sets == tuple(picture.set_name for picture in mixed)


def test_masks_are_the_truth_of_each_target(hung: Gallery, mixed: list[LabelledPicture]) -> None:
    assert hung.names == ("box", "disc", "square left", "star", "thing")
    drawn = torch.tensor([4, 0, 6])
    targets = torch.arange(5).expand(3, -1)
    masks = hung.masks(drawn, hung.labels[drawn], targets)
    for row, number in enumerate(drawn.tolist()):
        picture = mixed[number]
        height, width = picture.labels.shape
        for target, name in enumerate(hung.names):
            found = masks[row, target, :height, :width].numpy()
            known = name in picture.targets
            assert bool(hung.known[hung.kinds[number], target]) == known
            assert np.array_equal(found, picture.truth(name)) if known else not found.any()
    assert not masks[:, :, MAX_SIDE - 1].any()


def test_what_a_set_never_shows_is_told_from_what_its_labels_name(
    pictures: list[LabelledPicture],
) -> None:
    targets = {**pictures[0].targets, "moon": ()}
    hung = Gallery.of([dataclasses.replace(pictures[0], targets=targets), pictures[1]], {})
    moon = hung.names.index("moon")
    assert hung.never[hung.kinds][:, moon].tolist() == [True, False]
    assert int(hung.never.sum()) == 1
    assert not hung.known[:, moon].any()
    assert hung.known[hung.kinds].sum(1).tolist() == [len(pictures[0].targets)] * 2
    assert not hung.masks(torch.tensor([0]), hung.labels[:1], torch.tensor([[moon]])).any()


def test_each_question_has_its_own_target(hung: Gallery) -> None:
    drawn, targets = torch.tensor([0, 1]), torch.tensor([[1], [2]])
    every = hung.masks(drawn, hung.labels[drawn], torch.arange(5).expand(2, -1))
    found = hung.masks(drawn, hung.labels[drawn], targets)
    assert torch.equal(found[:, 0], torch.stack([every[0, 1], every[1, 2]]))


def test_areas_are_shares_of_the_masks(hung: Gallery) -> None:
    drawn = torch.tensor([0, 4, 5])
    labels = hung.labels[drawn][:, :100, :120]
    masks = hung.masks(drawn, labels, torch.arange(5).expand(3, -1))
    areas = hung.areas(drawn, labels)
    assert torch.allclose(areas, masks.float().mean((2, 3)))
    assert areas[0].any()
    assert not areas[2].any()


def test_pictures_are_drawn_by_set_then_by_subject(
    hung: Gallery, mixed: list[LabelledPicture]
) -> None:
    """Subjects s0 to s2 of the one set, of which s0 has two pictures and another shows nothing."""
    subjects = [picture.subject for picture in mixed]
    assert subjects == ["s0", "s1", "s2", "s0", "s1", "s2", "s0"]
    assert float(hung.chances.sum()) == pytest.approx(1)
    expected = [0.25 / 3, 0.25, 0.25, 0.25 / 3, 0.25, 0.0, 0.25 / 3]
    assert hung.chances.tolist() == pytest.approx(expected)


def test_drawing_follows_the_chances(hung: Gallery, generator: torch.Generator) -> None:
    counts = hung.draw(4000, generator).bincount(minlength=len(hung.chances))
    assert torch.allclose(counts / 4000, hung.chances, atol=0.03)


def test_drawing_among_some_keeps_to_them(hung: Gallery, generator: torch.Generator) -> None:
    counts = hung.draw(2000, generator, torch.tensor([0, 2, 5])).bincount(minlength=7)
    assert counts.nonzero().flatten().tolist() == [0, 2]
    assert float(counts[2] / counts[0]) == pytest.approx(3, rel=0.25)


def test_the_same_generator_draws_the_same(hung: Gallery) -> None:
    one, other = (hung.draw(9, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one, other)


def test_a_corpus_that_shows_nothing_is_refused(mixed: list[LabelledPicture]) -> None:
    empty = [dataclasses.replace(one, labels=np.zeros_like(one.labels)) for one in mixed]
    with pytest.raises(InvalidRequest, match="shows a target"):
        Gallery.of(empty, {})
