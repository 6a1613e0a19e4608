"""The story follows the events: moments, masks of every time, steps taken back."""

from __future__ import annotations

import numpy as np
import pytest
from harness.slicer_panel import slicer
from harness.slicer_story import Teller, disc, phantom, three_steps, volume_node

from IBISAgentLib.rle import decode
from IBISAgentLib.story import SETTLED, UNDONE, Story


@pytest.fixture
def teller(application):
    return Teller(volume_node(slicer, phantom()))


def told(events) -> Story:
    story = Story()
    for event in events:
        story.take(event)
    return story


def test_each_step_is_a_moment_with_the_clicks_that_stand(teller) -> None:
    story = told(three_steps(teller, 7))
    assert [moment.kind for moment in story.moments] == ["positive", "negative", "terminate"]
    assert [len(moment.clicks) for moment in story.moments] == [1, 2, 2]
    assert [click.positive for click in story.moments[2].clicks] == [True, False]
    assert [click.number for click in story.moments[2].clicks] == [1, 2]
    assert story.moments[1].before == story.moments[0].mask
    assert story.moments[2].score is None  # the tool was not asked
    assert story.finished.answer == "It is marked."
    assert story.plane == "axial"


def test_masks_are_those_of_the_moment(teller) -> None:
    story = told(three_steps(teller, 7))
    assert story.masks_at(0) == {7: story.moments[0].mask}
    assert story.masks_at(1) == {7: story.moments[1].mask}
    assert story.masks_at() == {7: story.moments[2].mask}


def test_a_step_taken_back_takes_its_click_with_it(teller) -> None:
    shape = teller.shape(7)
    first, second = disc(shape, 20, 20, 8), disc(shape, 20, 20, 5)
    story = told(
        [
            teller.started(),
            teller.slice(7),
            teller.step(7, "positive", first, (20, 20)),
            teller.step(7, "negative", second, (30, 20)),
            teller.undo(7, first),
        ]
    )
    assert story.moments[-1].kind == UNDONE
    assert story.moments[-1].takes_back == 1
    assert story.taken_back() == {1}
    assert len(story.moments[-1].clicks) == 1
    np.testing.assert_array_equal(decode(story.masks_at()[7]), first)


def test_carried_slices_change_masks_and_add_no_rows(teller) -> None:
    mask = disc(teller.shape(7), 20, 20, 6)
    story = told(
        [
            teller.started(scope="volume"),
            teller.slice(7),
            teller.step(7, "positive", mask, (20, 20)),
            teller.done(7, mask),
            teller.done(8, mask, carried=True),
            teller.done(9, mask, carried=True),
        ]
    )
    assert len(story.moments) == 1
    assert sorted(story.masks_at()) == [7, 8, 9]
    assert sorted(story.masks_at(0)) == [7, 8, 9]  # carried before the next moment


def test_a_slice_settled_otherwise_is_a_moment(teller) -> None:
    mask, cleaned = disc(teller.shape(7), 20, 20, 6), disc(teller.shape(7), 20, 20, 5)
    events = [teller.started(), teller.slice(7), teller.step(7, "positive", mask, (20, 20))]
    story = told([*events, teller.done(7, cleaned)])
    assert story.moments[-1].kind == SETTLED
    np.testing.assert_array_equal(decode(story.masks_at()[7]), cleaned)


def test_a_run_that_goes_on_is_not_finished(teller) -> None:
    story = told([*three_steps(teller, 7), teller.started()])
    assert story.finished is None
    assert len(story.moments) == 3


def test_an_undo_without_a_step_is_borne(teller) -> None:
    blank = np.zeros(teller.shape(7), bool)
    teller.standing[7] = [three_steps(Teller(slicer_volume(teller)), 7)[2].step]
    story = told([teller.started(), teller.undo(7, blank)])
    assert story.moments[-1].takes_back is None


def slicer_volume(teller):
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
