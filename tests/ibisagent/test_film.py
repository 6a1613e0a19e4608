"""The film strip: what each frame shows and says."""

from __future__ import annotations

import numpy as np
import pytest
from harness.fake_tool import DiscTool, disc
from harness.list_policy import TERMINATE, click

from ibisagent.actions import Click
from ibisagent.episode import Episode
from ibisagent.errors import InvalidTrajectory
from ibisagent.film import film_strip, frames
from ibisagent.film_sheet import BLUE, COLUMNS, GAP, RED, SIDE
from ibisagent.overlay import overlay
from ibisagent.prompts import load_profile
from ibisagent.tools.base import Segmentation
from ibisagent.trajectory import SliceRecord, Trajectory, record

SHAPE = (40, 50)
PROFILE = load_profile()
PICTURE = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)


def new_episode(start=None):
    initial = None if start is None else Segmentation(start, 1.0)
    return Episode(PICTURE, "the kidney", DiscTool(), PROFILE, start=initial)


def recorded(episode) -> Trajectory:
    where = SliceRecord(image="ct.nii.gz", plane="axial", index=3, height=40, width=50)
    return record(episode, where, "list-policy")


def played(*replies, start=None) -> Trajectory:
    episode = new_episode(start)
    for reply in replies:
        episode.apply(reply, policy_seconds=1.5)
    return recorded(episode)


def words(frame) -> str:
    return " | ".join(text.text for text in frame.caption)


def tinted(mask) -> np.ndarray:
    return overlay(PICTURE, mask, PROFILE.overlay_colour, PROFILE.overlay_alpha)


def test_each_turn_shows_the_mask_before_its_action_and_the_last_frame_the_result():
    first, second, result = frames(
        played(click(0.5, 0.5), click(0.2, 0.2, positive=False)), PICTURE, PROFILE
    )
    centre = disc(SHAPE, 20, 25, DiscTool.radius)

    np.testing.assert_array_equal(first.picture, PICTURE)
    np.testing.assert_array_equal(second.picture, tinted(centre))
    np.testing.assert_array_equal(result.picture, tinted(centre & ~disc(SHAPE, 8, 10, 6)))


def test_starting_mask_is_on_the_first_picture():
    start = disc(SHAPE, 5, 5, 3)

    np.testing.assert_array_equal(
        frames(played(TERMINATE, start=start), PICTURE, PROFILE)[0].picture, tinted(start)
    )


def test_caption_has_turn_author_seconds_thought_and_action():
    frame = frames(played(click(0.5, 0.25)), PICTURE, PROFILE)[0]

    assert frame.heading.text == "Turn 1 · agent"
    assert frame.note == "1.5 s"
    assert words(frame) == "Here. | Positive Point (0.5000, 0.2500)"
    assert frame.click == Click(0.5, 0.25)


def test_persons_click_stands_out():
    episode = new_episode()
    episode.click(Click(0.1, 0.9, positive=False))

    frame = frames(recorded(episode), PICTURE, PROFILE)[0]

    assert (frame.heading.text, frame.heading.colour) == ("Turn 1 · human", BLUE)
    assert words(frame) == "Negative Point (0.1000, 0.9000)"


def test_malformed_reply_is_shown_with_the_reason():
    frame = frames(played("<think>Hm.</think> nothing"), PICTURE, PROFILE)[0]

    assert frame.click is None
    assert words(frame) == (
        "<think>Hm.</think> nothing | Not understood: The reply has no <action> tag."
    )
    assert RED in {text.colour for text in frame.caption}


def test_click_that_was_not_carried_out_says_so():
    *_, third, result = frames(played(*[click(0.5, 0.5)] * 3), PICTURE, PROFILE)

    assert words(third).endswith("Not carried out: the same click again.")
    assert result.heading.text == "Result · repeated action"


def test_steps_taken_back_are_not_shown():
    episode = new_episode()
    episode.apply(click(0.5, 0.5))
    episode.undo()

    (result,) = frames(recorded(episode), PICTURE, PROFILE)

    assert result.heading.text == "Result · not finished"
    assert words(result) == "Nothing is marked."
    np.testing.assert_array_equal(result.picture, PICTURE)


def test_result_is_compared_with_a_reference():
    reference = disc(SHAPE, 20, 25, DiscTool.radius)

    *_, result = frames(played(click(0.5, 0.5), TERMINATE), PICTURE, PROFILE, reference)

    assert result.heading.text == "Result · terminated"
    assert result.note == "Dice 1.00"
    assert words(result) == "Done. | Yellow line: reference."
    assert result.outline is reference


def test_absent_target_that_was_recognised():
    *_, result = frames(played(TERMINATE), PICTURE, PROFILE, np.zeros(SHAPE, bool))

    assert result.heading.text == "Result · not present"
    assert words(result) == "Done. | Nothing is marked. | Reference: not in this image."


@pytest.mark.parametrize(("turns", "columns"), [(0, 1), (1, 2), (4, 5), (5, 3), (19, 5)])
def test_strip_wraps_into_rows_of_nearly_equal_length(turns, columns):
    replies = [click(0.1 + 0.04 * turn, 0.5) for turn in range(turns)]

    strip = film_strip(played(*replies), PICTURE, PROFILE)

    assert columns <= COLUMNS
    assert strip.width == GAP + columns * (SIDE + GAP)


@pytest.mark.parametrize("which", ["picture", "reference", "mask"])
def test_another_images_size_is_refused(which):
    trajectory = played(TERMINATE)
    other = np.zeros((9, 9), dtype=bool)
    picture = np.zeros((9, 9, 3), np.uint8) if which == "picture" else PICTURE
    if which == "mask":
        trajectory.start.__dict__["size"] = (9, 9)

    with pytest.raises(InvalidTrajectory, match=f"{which} has 9 x 9"):
        film_strip(trajectory, picture, PROFILE, other if which == "reference" else None)
