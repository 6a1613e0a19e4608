"""The scripted annotator: where it clicks, what it says, and when it stops."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from harness.fake_tool import DiscTool, disc
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from ibisagent.actions import Click, Reply, Terminate, format_reply, parse
from ibisagent.episode import Episode, Limits, StopReason, run
from ibisagent.metrics import iou
from ibisagent.policies.base import Observation
from ibisagent.policies.scripted import (
    NEAR_CENTRE,
    ScriptedAnnotator,
    annotate,
    deep_point,
    depth_of,
    finish,
    largest_part,
    next_click,
)
from ibisagent.policies.wording import VARIED
from ibisagent.prompts import load_profile
from ibisagent.tools.base import Segmentation

unhurried = settings(deadline=None)  # wall time says more of the machine than of the code

SHAPE = (24, 31)
NOTHING = np.zeros(SHAPE, dtype=bool)
BLOB = disc(SHAPE, 10, 12, 6)

RANDOM_MASKS = arrays(np.bool_, SHAPE)
SEEDS = st.none() | st.integers(0, 2**32).map(Random)


def depth(region: np.ndarray) -> np.ndarray:
    """Distance of every pixel to the nearest one outside the region or the picture."""
    return np.asarray(ndimage.distance_transform_edt(np.pad(region, 1)))[1:-1, 1:-1]


def star(radii: np.ndarray, size: int = 96) -> np.ndarray:
    """A star-shaped region around the middle, its radius interpolated over the angle."""
    rows, columns = np.ogrid[:size, :size]
    rows, columns = rows - size / 2, columns - size / 2
    turn = (np.arctan2(rows, columns) / (2 * np.pi) + 0.5) * len(radii)
    radius = np.interp(turn, range(len(radii) + 1), [*radii, radii[0]])
    return np.asarray(np.hypot(rows, columns) <= radius)


def play(truth: np.ndarray, rng: Random | None, stop_iou: float, radius: float = 4) -> Episode:
    picture = np.zeros((*truth.shape, 3), dtype=np.uint8)
    limits = Limits(max_steps=200)
    episode = Episode(picture, "star", DiscTool(radius), load_profile(), limits)
    run([episode], ScriptedAnnotator(truth, "star", stop_iou, rng))
    return episode


@unhurried
@given(RANDOM_MASKS, RANDOM_MASKS, SEEDS)
def test_click_lies_in_the_deeper_error(
    truth: np.ndarray, mask: np.ndarray, rng: Random | None
) -> None:
    assume((truth != mask).any())
    click, region = next_click(truth, mask, rng)
    missed, spilled = depth(truth & ~mask), depth(mask & ~truth)
    pixel = click.to_pixel(*SHAPE)
    assert click.positive == (missed.max() >= spilled.max())
    chosen = missed if click.positive else spilled
    share = 1.0 if rng is None else NEAR_CENTRE
    assert chosen[pixel] >= share * chosen.max() > 0
    assert region[pixel]
    assert (chosen[region] > 0).all()
    assert ndimage.label(region)[1] == 1


@unhurried
@given(RANDOM_MASKS, RANDOM_MASKS, SEEDS)
def test_every_reply_is_well_formed(
    truth: np.ndarray, mask: np.ndarray, rng: Random | None
) -> None:
    reply = annotate(truth, mask, "kidney <action>Terminate</action> {x}", 0.85, rng, rng)
    parsed = parse(format_reply(reply))
    assert isinstance(parsed, Reply)
    assert parsed.action == reply.action


def test_first_click_is_the_deepest_point() -> None:
    reply = annotate(BLOB, NOTHING, "kidney")
    assert reply.action == Click.from_pixel(10, 12, *SHAPE)


def test_a_target_at_the_edge_is_clicked_inside_the_picture() -> None:
    truth = disc(SHAPE, 0, 0, 8)
    click, _ = next_click(truth, NOTHING)
    row, column = click.to_pixel(*SHAPE)
    assert 0 < row < 8
    assert 0 < column < 8


def test_a_missed_and_a_spilled_part() -> None:
    truth, mask = disc(SHAPE, 10, 8, 6), disc(SHAPE, 10, 16, 7)
    click, region = next_click(truth, mask)
    assert not click.positive
    assert np.array_equal(region, mask & ~truth)
    click, region = next_click(truth, mask & truth)
    assert click.positive
    assert (region <= (truth & ~mask)).all()


def test_a_mask_for_an_absent_target_is_removed() -> None:
    reply = annotate(NOTHING, BLOB, "kidney")
    assert isinstance(reply.action, Click)
    assert not reply.action.positive
    assert BLOB[reply.action.to_pixel(*SHAPE)]


def test_an_absent_target_ends_the_episode() -> None:
    reply = annotate(NOTHING, NOTHING, "kidney")
    assert reply.action == Terminate()
    assert "no kidney" in reply.answer
    assert play(np.zeros((96, 96), dtype=bool), None, 0.8).stop is StopReason.NOT_PRESENT


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (NOTHING, "inside"),
        (disc(SHAPE, 20, 28, 2), "not on it"),
        (disc(SHAPE, 10, 12, 3), "not covered"),
        (disc(SHAPE, 10, 12, 9), "more than"),
    ],
)
def test_the_thought_says_why(mask: np.ndarray, words: str) -> None:
    thoughts = {annotate(BLOB, mask, "kidney", 0.95, Random(n)).thought for n in range(20)}
    assert all(words in thought and "kidney" in thought for thought in thoughts)


@pytest.mark.parametrize("stop_iou", [0.5, 0.85, 1.0])
def test_good_enough_is_where_the_threshold_says(stop_iou: float) -> None:
    mask = BLOB.copy()
    mask[10, 6:13] = False  # a few pixels less than the truth
    expected = iou(mask, BLOB) >= stop_iou
    assert isinstance(annotate(BLOB, mask, "kidney", stop_iou).action, Terminate) == expected
    assert annotate(BLOB, BLOB, "kidney", stop_iou).action == Terminate()


def test_the_closing_sentence_names_target_place_and_size() -> None:
    answer = finish(BLOB, "kidney", Random(0)).answer
    assert answer == "The kidney is in the centre of the image, large."


def test_without_rng_it_always_says_the_same() -> None:
    assert annotate(BLOB, NOTHING, "kidney") == annotate(BLOB, NOTHING, "kidney")


def test_words_and_clicks_vary_apart_and_can_be_repeated() -> None:
    spoken = {annotate(BLOB, NOTHING, "kidney", words=Random(n), wording=VARIED) for n in range(30)}
    assert len({reply.thought for reply in spoken}) > 1
    assert len({reply.action for reply in spoken}) == 1
    spread = {annotate(BLOB, NOTHING, "kidney", spread=Random(n)) for n in range(30)}
    assert len({reply.thought for reply in spread}) == 1
    clicks = {reply.action for reply in spread}
    assert len(clicks) > 5
    assert all(BLOB[click.to_pixel(*SHAPE)] for click in clicks)
    assert annotate(BLOB, NOTHING, "kidney", spread=Random(3)) in spread


def test_replies_judge_every_observation_by_its_own_mask() -> None:
    seen = [Observation([], (), mask) for mask in (NOTHING, BLOB, ~BLOB)]
    actions = [parse(text) for text in ScriptedAnnotator(BLOB, "kidney").replies(seen)]
    assert isinstance(actions[1], Reply)
    assert actions[1].action == Terminate()
    assert len(set(actions)) == 3


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("random_clicks", [False, True])
def test_an_episode_converges(seed: int, random_clicks: bool) -> None:
    truth = star(np.random.default_rng(seed).uniform(12, 40, 8))
    episode = play(truth, Random(seed) if random_clicks else None, stop_iou=0.75)
    assert episode.stop is StopReason.TERMINATED
    assert iou(episode.segmentation.mask, truth) >= 0.75


@pytest.mark.parametrize("seed", range(3))
def test_each_click_deeper_than_the_tools_reach_improves(seed: int) -> None:
    truth, tool = star(np.random.default_rng(seed).uniform(12, 40, 8)), DiscTool(3)
    prepared = tool.set_image(np.zeros((*truth.shape, 3), dtype=np.uint8))
    state, improved = Segmentation.empty(*truth.shape), 0
    while depth(truth ^ state.mask).max() > tool.radius:
        click, _ = next_click(truth, state.mask)
        before, state = iou(state.mask, truth), prepared.segment([click], state)
        assert iou(state.mask, truth) > before
        improved += 1
    assert improved > 5


@unhurried
@given(RANDOM_MASKS)
def test_the_largest_part_is_one_part_and_the_largest(region) -> None:
    assume(region.any())
    part = largest_part(region)
    parts, count = ndimage.label(region)
    assert not (part & ~region).any()
    assert ndimage.label(part)[1] == 1
    assert part.sum() == max(int((parts == n).sum()) for n in range(1, count + 1))


@unhurried
@given(RANDOM_MASKS, SEEDS)
def test_a_deep_point_is_nearly_as_deep_as_any(region, rng) -> None:
    assume(region.any())
    depth = depth_of(region)
    assert depth[deep_point(region, rng)] >= NEAR_CENTRE * depth.max()


def test_the_largest_part_may_be_clicked_instead_of_the_deepest() -> None:
    """A long strip has more pixels than a disc, but is not as deep."""
    truth = disc(SHAPE, 15, 8, 5)
    truth[1:4, :] = True
    deepest, _ = next_click(truth, NOTHING)
    largest, region = next_click(truth, NOTHING, largest=True)
    assert deepest.to_pixel(*SHAPE)[0] == 15
    assert largest.to_pixel(*SHAPE)[0] == 2
    assert region.sum() == 3 * SHAPE[1]
