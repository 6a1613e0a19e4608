"""What every segmentation tool keeps to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ibisagent.actions import Click
from ibisagent.errors import InvalidClick, InvalidRequest, ToolOutOfMemory, UnsupportedImage
from ibisagent.tools.ahead import embed_ahead
from ibisagent.tools.base import RGB, Segmentation, SegmentationTool

Picture = Callable[[int, int], RGB]
CENTRE = Click(0.5, 0.5)
CORNER = Click(0.05, 0.05, positive=False)


@pytest.fixture(params=["embedded", "sam", "medsam", "sam2", "medsam2"])
def tool(request: pytest.FixtureRequest) -> SegmentationTool:
    found: SegmentationTool = request.getfixturevalue(request.param)
    return found


def same(one: Segmentation, other: Segmentation) -> bool:
    assert one.logits is not None
    assert other.logits is not None
    return (
        np.array_equal(one.mask, other.mask)
        and one.score == other.score
        and np.array_equal(one.logits, other.logits)
    )


def embeddings(tool: SegmentationTool, monkeypatch: pytest.MonkeyPatch) -> list[RGB]:
    """Images that the tool embeds from now on."""
    embedded: list[RGB] = []
    embed = tool._embed  # type: ignore[attr-defined]
    monkeypatch.setattr(tool, "_embed", lambda rgb: (embedded.append(rgb), embed(rgb))[1])
    return embedded


def test_equal_arguments_give_equal_results(tool: SegmentationTool, picture: Picture) -> None:
    first = tool.set_image(picture(60, 80))
    second = tool.set_image(picture(60, 80))
    prior = first.segment([CENTRE])
    assert same(prior, second.segment([CENTRE]))
    clicks = [CENTRE, Click(0.8, 0.7)]
    assert same(first.segment(clicks, prior), second.segment(clicks, prior))


@pytest.mark.parametrize("size", [(37, 301), (1, 1), (1025, 700), (1, 700), (2500, 3001)])
def test_a_mask_has_the_size_of_its_image(
    tool: SegmentationTool, picture: Picture, size: tuple[int, int]
) -> None:
    prepared = tool.set_image(picture(*size))
    first = prepared.segment([CENTRE])
    second = prepared.segment([CENTRE, Click(1.0, 1.0, positive=False)], first)
    for found in (first, second):
        assert found.mask.shape == size
        assert found.mask.dtype == np.bool_
        assert 0 <= found.score <= 1
        assert found.logits is not None
        assert found.logits.dtype == np.float32


def test_a_tool_has_a_name(tool: SegmentationTool) -> None:
    assert tool.name
    assert "/" not in tool.name  # an identity, not a place on this machine


def test_an_equal_image_is_embedded_once_and_a_changed_one_anew(
    tool: SegmentationTool, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded, image = embeddings(tool, monkeypatch), picture(50, 41)
    tool.set_image(image)
    tool.set_image(image.copy())
    assert len(embedded) == 1
    image[0, 0, 0] ^= 1
    tool.set_image(image)
    assert len(embedded) == 2


def test_changing_an_image_later_does_not_disturb_its_embedding(
    tool: SegmentationTool, picture: Picture
) -> None:
    image = picture(60, 80)
    prepared = tool.set_image(image)
    expected = prepared.segment([CENTRE])
    image[:] = 0
    assert same(prepared.segment([CENTRE]), expected)


def test_two_images_used_in_turn_do_not_disturb_each_other(
    tool: SegmentationTool, picture: Picture
) -> None:
    one, other = tool.set_image(picture(60, 80)), tool.set_image(255 - picture(60, 80))
    first = one.segment([CENTRE])
    assert not same(other.segment([CENTRE]), first)
    assert same(one.segment([CENTRE]), first)


def test_every_click_counts_with_its_place_and_its_sign(
    tool: SegmentationTool, picture: Picture
) -> None:
    prepared = tool.set_image(picture(60, 80))
    first, further = CENTRE, Click(0.2, 0.3)  # the further ones are at odds with the first mask
    others = [
        [Click(0.75, 0.6)],
        [Click(0.5, 0.5, positive=False)],
        [first, further],
        [first, Click(0.55, 0.55, positive=False)],
    ]
    found = [prepared.segment(clicks).logits for clicks in ([first], *others)]
    for n, one in enumerate(found):
        assert not any(np.array_equal(one, other) for other in found[n + 1 :])


def test_a_click_off_the_image_is_refused_and_one_on_its_edge_is_not(
    tool: SegmentationTool, picture: Picture
) -> None:
    prepared = tool.set_image(picture(60, 80))
    for x, y in ((1.0001, 0.5), (0.5, -0.1), (float("nan"), 0.5), (0.5, float("inf"))):
        with pytest.raises(InvalidClick):
            prepared.segment([Click(x, y)])
    for x, y in ((0.0, 0.0), (1.0, 1.0)):
        assert prepared.segment([Click(x, y)]).mask.shape == (60, 80)


def test_the_logits_of_the_turn_before_count(tool: SegmentationTool, picture: Picture) -> None:
    prepared = tool.set_image(picture(60, 80))
    clicks = [CENTRE, Click(0.8, 0.7)]
    prior = prepared.segment([CENTRE])
    assert prior.logits is not None
    opposite = Segmentation(~prior.mask, prior.score, -10 * prior.logits)
    assert not same(prepared.segment(clicks, prior), prepared.segment(clicks, opposite))


def test_a_mask_drawn_by_a_user_is_refined(tool: SegmentationTool, picture: Picture) -> None:
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:50, 15:40] = True
    prepared = tool.set_image(picture(60, 80))
    click = Click(0.6, 0.5)
    refined = prepared.segment([click], Segmentation(mask, 0.0))
    assert refined.mask.shape == mask.shape
    assert not same(refined, prepared.segment([click]))


def test_an_empty_prior_is_as_good_as_none(tool: SegmentationTool, picture: Picture) -> None:
    prepared = tool.set_image(picture(60, 80))
    empty = Segmentation.empty(60, 80)
    assert np.array_equal(prepared.segment([CENTRE], empty).mask, prepared.segment([CENTRE]).mask)


def test_a_constant_image_works(tool: SegmentationTool) -> None:
    grey = np.full((40, 40, 3), 7, dtype=np.uint8)
    assert np.isfinite(tool.set_image(grey).segment([CENTRE]).score)


def test_negative_clicks_alone_are_no_error(tool: SegmentationTool, picture: Picture) -> None:
    assert tool.set_image(picture(60, 80)).segment([CORNER]).mask.shape == (60, 80)


def test_threads_get_what_one_caller_gets(tool: SegmentationTool, picture: Picture) -> None:
    images = [picture(60, 80), 255 - picture(60, 80)] * 3
    expected = [tool.set_image(image).segment([CENTRE]) for image in images[:2]]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda image: tool.set_image(image).segment([CENTRE]), images))
    assert all(same(one, expected[i % 2]) for i, one in enumerate(found))


def test_pictures_embedded_together_are_as_good_as_one_by_one(
    tool: SegmentationTool, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [picture(61, 80), 255 - picture(61, 80), picture(43, 90), picture(61, 80)]
    expected = [tool.set_image(image).segment([CENTRE]) for image in images]
    cache, together = tool._cache, []  # type: ignore[attr-defined]
    cache.clear()
    embed_many = tool._embed_many  # type: ignore[attr-defined]
    monkeypatch.setattr(cache, "at_once", 3)
    monkeypatch.setattr(
        tool, "_embed_many", lambda rgbs: (together.append(len(rgbs)), embed_many(rgbs))[1]
    )
    embed_ahead(tool, images)
    assert together == [3]  # the fourth is the first once more
    monkeypatch.setattr(tool, "_embed", None)
    for image, known in zip(images, expected, strict=True):
        found = tool.set_image(image).segment([CENTRE])
        assert np.mean(found.mask != known.mask) < 0.001
        assert found.score == pytest.approx(known.score, abs=1e-4)
        assert found.logits == pytest.approx(known.logits, abs=1e-3)


def test_want_of_memory_for_several_pictures_leaves_them_to_be_embedded_alone(
    tool: SegmentationTool, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, tried = tool._cache, []  # type: ignore[attr-defined]
    cache.clear()

    def full(rgbs: Sequence[RGB]) -> object:
        tried.append(len(rgbs))
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(cache, "at_once", 4)
        patch.setattr(tool, "_embed_many", full)
        embed_ahead(tool, [picture(30 + n, 40) for n in range(4)])
        assert (tried, cache.at_once) == ([4, 2], 1)
    assert tool.set_image(picture(30, 40)).segment([CENTRE]).mask.shape == (30, 40)


def test_no_clicks_are_refused(tool: SegmentationTool, picture: Picture) -> None:
    with pytest.raises(InvalidRequest, match="at least one click"):
        tool.set_image(picture(60, 80)).segment([])


def test_a_prior_of_another_size_is_refused(tool: SegmentationTool, picture: Picture) -> None:
    with pytest.raises(InvalidRequest, match="height and width"):
        tool.set_image(picture(60, 80)).segment([CENTRE], Segmentation.empty(80, 60))


def test_a_grey_array_is_refused(tool: SegmentationTool) -> None:
    with pytest.raises(UnsupportedImage, match="8-bit colour"):
        tool.set_image(np.zeros((40, 40), dtype=np.uint8))


def test_out_of_memory_is_named_and_not_remembered(
    tool: SegmentationTool, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> object:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(tool, "_embed", full)
        with pytest.raises(ToolOutOfMemory, match="out of memory"):
            tool.set_image(picture(33, 44))
    prepared = tool.set_image(picture(33, 44))
    with monkeypatch.context() as patch:
        patch.setattr(tool, "decode", full)
        with pytest.raises(ToolOutOfMemory):
            prepared.segment([CENTRE])
    prepared.segment([CENTRE])
