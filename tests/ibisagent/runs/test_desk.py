"""A slice that a person changes in a volume that was propagated: what was carried from it follows.

The policy marks a disc in the middle of each slice it is asked on. With slice 20 to begin with,
it is asked on slices 4, 12, 20, 28, ...; the tool carries the disc to those between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import SimpleITK as sitk
from harness.fake_tool import DiscTool, disc
from harness.phantom import image_of
from harness.run_studies import Place, clicked, gone_on, rest, undone

from ibisagent.actions import Click
from ibisagent.events import Finished
from ibisagent.runs.orders import ClickOrder
from ibisagent.runs.run import Run
from ibisagent.slices import SliceView
from ibisagent.tools.base import RGB, Segmentation

Make = Callable[..., Place]
ASIDE = (0.36, 0.5)
"""Beside the middle, so that a disc there overlaps with one in the middle."""


@dataclass
class HookedTool(DiscTool):
    """Calls something before its next call."""

    hook: Callable[[], None] | None = None

    def set_image(self, rgb: RGB) -> _Hooked:
        return _Hooked(self, super().set_image(rgb))


@dataclass
class _Hooked:
    tool: HookedTool
    prepared: object

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        hook, self.tool.hook = self.tool.hook, None
        if hook is not None:
            hook()
        return self.prepared.segment(clicks, prior)


def volume_run(here: Place, **fields: object) -> Run:
    return here.done(scope="volume", slice=20, **fields)


def changed(before: np.ndarray, run: Run) -> list[int]:
    return np.flatnonzero((before != run.mask()).any(axis=(1, 2))).tolist()


def betweens(run: Run) -> dict[int, tuple[int, int]]:
    return {one.slice.index: one.between for one in run.trajectories()[1]}


def test_what_was_carried_from_a_slice_follows_a_click_on_it(place: Make) -> None:
    run = volume_run(place())
    before, carried = run.mask(), betweens(run)
    assert set(range(13, 28)) - {20} <= set(carried)
    clicked(run, 20, *ASIDE)
    assert changed(before, run) == list(range(13, 28))
    after = betweens(run)
    assert {after[index] for index in range(13, 20)} == {(12, 20)}
    assert {after[index] for index in range(21, 28)} == {(20, 28)}
    answer = run.describe().answer
    assert answer.startswith("Slice 20 was changed by a person's click. 7 slices between 12 and 20")
    assert run.mask()[[19, 13], 20, 12].tolist() == [1, 0]  # the change fades with distance


def test_events_tell_what_was_carried_anew(place: Make) -> None:
    here = place()
    run = clicked(volume_run(here), 20, *ASIDE)
    view = SliceView(image_of(np.zeros((40, 40, 44), bool)), "axial")
    told = np.zeros(view.volume_shape, np.uint8)
    for event in run.log.events():
        if event.event in ("step", "slice_done"):
            view.into_volume(event.mask.decode(), told, event.index)
    np.testing.assert_array_equal(told, run.mask())
    masks = {one.slice.index: one.mask.decode() for one in run.trajectories()[1]}
    np.testing.assert_array_equal(masks[19], run.mask()[19] > 0)


def test_a_carried_slice_that_is_clicked_becomes_a_key_slice(place: Make) -> None:
    run = clicked(volume_run(place()), 16, *ASIDE)
    between = betweens(run)
    assert 16 not in between
    assert {between[index] for index in (13, 14, 15)} == {(12, 16)}
    assert {between[index] for index in (17, 18, 19)} == {(16, 20)}
    clicked(run, 18, *ASIDE)
    assert betweens(run)[17] == (16, 18)
    assert betweens(run)[15] == (12, 16)


def test_undo_brings_back_what_was_carried(place: Make) -> None:
    run = volume_run(place())
    before = run.mask()
    clicked(run, 20, *ASIDE)
    undone(run, 20)
    assert changed(before, run) == []


def test_agent_that_goes_on_after_a_click_changes_the_neighbours_too(place: Make) -> None:
    run = volume_run(place())
    before = run.mask()
    clicked(run, 20, *ASIDE, then="agent")
    assert changed(before, run) == list(range(13, 28))
    assert run.describe().answer.startswith("Done.")


def test_what_a_person_corrected_stays(place: Make) -> None:
    run = clicked(volume_run(place()), 16, 0.6, 0.5)
    before = run.mask()
    clicked(run, 20, *ASIDE)
    assert changed(before, run) == [*range(17, 28)]


def test_what_a_person_drew_stays(place: Make) -> None:
    here, drawn = place(), np.zeros((40, 40, 44), np.uint8)
    drawn[14:26] = disc((40, 44), 20, 22, 7)
    label = sitk.GetImageFromArray(drawn)
    label.CopyInformation(image_of(drawn > 0))
    here.write("tube.final", label)
    run = volume_run(here, start_label="final")
    before = run.mask()
    clicked(run, 17, *ASIDE)
    assert changed(before, run) == [17]


def test_slice_that_a_person_empties_leaves_its_neighbours_alone(place: Make) -> None:
    run = volume_run(place())
    before = run.mask()
    clicked(run, 20, 0.5, 0.5, positive=False)
    assert changed(before, run) == [20]
    assert not run.mask()[20].any()


def test_slices_stay_where_the_tool_sees_something_else(place: Make) -> None:
    here = place()
    run = volume_run(here)
    before = run.mask()
    here.tool.radius = 2.0
    clicked(run, 20, 0.34, 0.5)
    assert changed(before, run) == [20]
    assert "7 stay as they were" in run.describe().answer


def test_neighbours_follow_after_a_restart(place: Make) -> None:
    here = place()
    run = volume_run(here)
    before = run.mask()
    here.restart()
    run = clicked(here.runs.get(run.name), 20, *ASIDE)
    assert changed(before, run) == list(range(13, 28))


def test_click_while_masks_are_carried_anew_goes_first(place: Make) -> None:
    tool = HookedTool()
    run = volume_run(place(tool=tool))

    def click_between() -> None:
        tool.hook = lambda: run.click(ClickOrder.parse({"index": 16, "x": 0.36, "y": 0.5}))

    tool.hook = click_between  # at the first click's own call; the next is of what is carried
    clicked(run, 20, *ASIDE)
    between = betweens(run)
    assert 16 not in between
    assert {between[index] for index in (17, 18, 19)} == {(16, 20)}
    assert {between[index] for index in range(21, 28)} == {(20, 28)}


def test_click_during_the_propagation_is_carried_at_its_end(place: Make) -> None:
    tool = HookedTool()
    here = place(tool=tool)
    plain = volume_run(place()).mask()
    run = here.start(scope="volume", slice=20, wait_for_human=True)
    rest(run)

    def click_aside() -> None:
        run.click(ClickOrder.parse({"index": 20, "x": ASIDE[0], "y": ASIDE[1]}))

    tool.hook = click_aside
    gone_on(run, 20)
    assert {13, 19, 20, 21, 27} <= set(changed(plain, run))


def test_cancel_while_masks_are_carried_anew(place: Make) -> None:
    tool = HookedTool()
    run = volume_run(place(tool=tool))
    before = run.mask()

    def cancel_next() -> None:
        tool.hook = run.cancel

    tool.hook = cancel_next
    clicked(run, 20, *ASIDE)
    last = run.log.last
    assert isinstance(last, Finished)
    assert last.cancelled
    assert set(changed(before, run)) <= {13, 20}  # the call that was going on was the last


@pytest.mark.parametrize("fields", [{}, {"method": "every_slice"}])
def test_nothing_is_carried_where_nothing_was(place: Make, fields: dict[str, object]) -> None:
    scope = "volume" if fields else "slice"
    run = place().done(scope=scope, slice=20, **fields)
    before = run.mask()
    clicked(run, 20, *ASIDE)
    assert changed(before, run) == [20]
    assert run.describe().answer == "Slice 20 was changed by a person's click."
