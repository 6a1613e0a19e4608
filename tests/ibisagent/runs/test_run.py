"""One run: from start to rest, and a person's hands in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import SimpleITK as sitk
from harness.fake_tool import DiscTool, disc
from harness.list_policy import TERMINATE, ListPolicy, click
from harness.phantom import image_of, tube
from harness.run_studies import (
    ClickOnce,
    Gated,
    Place,
    clicked,
    eventually,
    gone_on,
    kinds,
    rest,
    undone,
)

from ibisagent.episode import Author, StopReason
from ibisagent.errors import (
    InvalidClick,
    InvalidRequest,
    NothingToUndo,
    RunGoingOn,
    SliceOutOfRange,
    ToolOutOfMemory,
    UnknownPrompt,
)
from ibisagent.events import Failed, Finished, SliceDone, Stepped
from ibisagent.prompts import load_profile
from ibisagent.runs.description import State
from ibisagent.runs.orders import ClickOrder, SliceOrder
from ibisagent.runs.run import Run
from ibisagent.slices import SliceView
from ibisagent.trajectory import Trajectory

Make = Callable[..., Place]
SHAPE = (40, 44)
"""Of the phantom's axial slices; there are 40."""


@dataclass
class Scattered(ClickOnce):
    """Clicks where its seed says."""

    seed: int = 0

    def sampling(self, temperature: float, seed: int) -> Scattered:
        return Scattered(seed=seed)

    def replies(self, observations, cancelled=None) -> list[str]:
        place = click(0.3 + 0.1 * self.seed, 0.5)
        return [TERMINATE if seen.mask.any() else place for seen in observations]


def assert_told(run: Run, place: Place, plane: str = "axial") -> None:
    """Whoever follows the events has the mask, and the events have no gaps."""
    events = run.log.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    view = SliceView(sitk.ReadImage(str(place.studies.image("tube"))), plane)
    volume = np.zeros(view.volume_shape, np.uint8)
    for event in events:
        if isinstance(event, Stepped | SliceDone):
            view.into_volume(event.mask.decode(), volume, event.index)
    np.testing.assert_array_equal(volume, run.mask())


def test_a_slice_from_start_to_rest(place: Make) -> None:
    here = place(ListPolicy([click(0.5, 0.5), click(0.2, 0.2), TERMINATE]))
    run = here.done(slice=8)
    assert kinds(run.log.events()) == [
        *("started", "slice", "step", "step", "step", "slice_done", "finished")
    ]
    described = run.describe()
    assert (described.state, described.answer, described.found) == (State.RESTING, "Done.", True)
    assert (described.image, described.author, described.queue) == ("tube", "somebody", 0)
    expected = disc(SHAPE, 20, 22, 6) | disc(SHAPE, 8, 8, 6)
    np.testing.assert_array_equal(run.mask()[8], expected)
    assert run.mask().sum() == expected.sum()
    assert_told(run, here)


def test_steps_tell_pixel_voxel_thought_score_and_author(place: Make) -> None:
    run = place(ListPolicy([click(0.5, 0.25), TERMINATE])).done(plane="coronal", slice=3)
    first = next(event for event in run.log.events() if isinstance(event, Stepped))
    assert first.step.author is Author.AGENT
    assert first.step.thought == "Here."
    assert first.step.score == 0.5
    assert (first.number, first.undone) == (1, False)
    assert first.step.pixel == (10, 22)
    assert first.ijk == (22, 3, 29)  # superior is up, so row 10 of 40 is voxel 29


def test_range_asks_on_each_of_its_slices(place: Make) -> None:
    here = place()
    run = here.done(scope="range", first=4, last=6)
    assert [one.slice.index for one in run.trajectories()[0]] == [4, 5, 6]
    assert run.mask()[[4, 5, 6]].any(axis=(1, 2)).all()
    assert_told(run, here)


@pytest.mark.parametrize("fields", [{"method": "propagate"}, {"clean": ["largest"]}])
def test_volume_is_told_slice_by_slice(place: Make, fields: dict[str, object]) -> None:
    here = place()
    run = here.done(scope="volume", slice=20, **fields)
    assert run.found
    assert_told(run, here)
    played, carried = run.trajectories()
    assert played
    assert not {one.slice.index for one in carried} & {one.slice.index for one in played}


def test_picture_has_one_slice_and_a_mask_of_two_axes(place: Make) -> None:
    here = place()
    here.write("photo", sitk.GetImageFromArray(np.zeros((50, 60), np.uint8)))
    run = here.done("photo", plane="axial")
    assert run.mask().shape == (50, 60)
    assert run.describe().plane == "picture"
    clicked(run, 0, 0.1, 0.1)
    assert run.mask()[5, 6]


def test_seed_makes_another_attempt(place: Make) -> None:
    masks = [place(Scattered()).done(slice=8, seed=seed).mask() for seed in (0, 1, 1, 2)]
    np.testing.assert_array_equal(masks[1], masks[2])
    assert len({mask.tobytes() for mask in masks}) == 3


def test_seed_is_refused_where_words_are_not_drawn(place: Make) -> None:
    run = place().done(slice=8, seed=1)
    assert run.describe().error["code"] == "invalid_request"
    assert "click-once" in run.describe().error["message"]


def test_a_persons_click_continues_the_episode(place: Make) -> None:
    here = place()
    run = clicked(here.done(slice=8), 8, 0.1, 0.1)
    (record,) = run.trajectories()[0]
    assert [step.author.value for step in record.steps] == ["agent", "agent", "human"]
    assert run.mask()[8, 4, 4]
    assert "person's click" in run.describe().answer
    assert_told(run, here)


def test_what_the_agent_says_next_sees_the_click(place: Make) -> None:
    policy = ClickOnce()
    run = place(policy).done(slice=8)
    clicked(run, 8, 0.1, 0.1, positive=True, then="agent")
    seen = policy.calls[-1][0]
    assert seen.mask[4, 4]
    assert (seen.clicks[-1].x, seen.clicks[-1].y) == (0.1, 0.1)
    (record,) = run.trajectories()[0]
    assert [step.author.value for step in record.steps] == ["agent", "agent", "human", "agent"]
    assert record.stop is StopReason.TERMINATED


def test_click_by_voxel_is_the_click_by_fraction(place: Make) -> None:
    run = place().done(slice=8)
    run.click(ClickOrder.parse({"ijk": [4, 5, 8], "positive": False}))
    rest(run)
    last = run.trajectories()[0][0].steps[-1]
    assert last.pixel == (5, 4)
    assert last.action.kind == "negative"


def test_click_on_another_slice_turns_to_it(place: Make) -> None:
    here = place()
    run = clicked(here.done(slice=8), 11, 0.5, 0.5)
    assert [one.slice.index for one in run.trajectories()[0]] == [8, 11]
    assert_told(run, here)


def test_click_while_the_agent_is_at_work_is_taken_between_two_steps(place: Make) -> None:
    policy = Gated(ClickOnce())
    run = place(policy).start(slice=8)
    policy.wait_until_asked()
    run.click(ClickOrder.parse({"index": 8, "x": 0.1, "y": 0.1}))
    policy.let_through(9)
    rest(run)
    (record,) = run.trajectories()[0]
    assert [step.author.value for step in record.steps] == ["agent", "human", "agent"]
    assert record.stop is StopReason.TERMINATED
    assert policy.policy.calls[-1][0].mask[4, 4]


def test_click_elsewhere_while_the_agent_is_at_work(place: Make) -> None:
    policy = Gated(ClickOnce())
    here = place(policy)
    run = here.start(scope="range", first=8, last=9)
    policy.wait_until_asked()
    run.click(ClickOrder.parse({"index": 30, "x": 0.1, "y": 0.1}))
    policy.let_through(9)
    rest(run)
    assert run.mask()[[8, 9, 30]].any(axis=(1, 2)).all()
    assert_told(run, here)


def test_click_on_a_slice_that_the_agent_has_yet_to_come_to_is_not_lost(place: Make) -> None:
    policy = Gated(ClickOnce())
    here = place(policy)
    run = here.start(scope="range", first=0, last=12)
    policy.wait_until_asked()
    run.click(ClickOrder.parse({"index": 12, "x": 0.1, "y": 0.1}))
    policy.let_through(9)
    rest(run)
    record = run.trajectories()[0][-1]
    assert [step.author.value for step in record.steps] == ["human", "agent"]
    assert run.mask()[12, 4, 4]
    assert_told(run, here)


def test_undo_goes_back_through_person_and_agent(place: Make) -> None:
    here = place(ListPolicy([click(0.5, 0.5), click(0.2, 0.2)]))
    run = clicked(here.done(slice=8), 8, 0.8, 0.8)
    masks = [record.mask.decode() for record in run.trajectories()[0][0].steps]
    for left in (3, 2, 1):
        undone(run, 8)
        np.testing.assert_array_equal(run.mask()[8] > 0, masks[left - 1])
    undone(run, 8)
    assert not run.mask().any()
    assert not run.found
    (record,) = run.trajectories()[0]
    assert record.steps == []
    assert [step.author.value for step in record.undone] == ["human", "agent", "agent", "agent"]
    with pytest.raises(NothingToUndo):
        run.undo(SliceOrder(index=8))
    assert_told(run, here)


def test_undo_while_the_agent_is_at_work_holds_the_slice(place: Make) -> None:
    policy = Gated(ListPolicy([click(0.5, 0.5), click(0.2, 0.2)]))
    run = place(policy).start(slice=8)
    policy.let_through(1)
    eventually(lambda: any(isinstance(event, Stepped) for event in run.log.events()))
    policy.wait_until_asked()
    policy.wait_until_asked()
    run.undo(SliceOrder(index=8))
    policy.let_through(9)
    rest(run)
    (record,) = run.trajectories()[0]
    assert (len(record.steps), len(record.undone)) == (1, 1)
    assert record.stop is None


def test_continue_gives_the_agent_its_full_number_of_steps_again(place: Make) -> None:
    policy = ListPolicy([click(0.1 * n, 0.5) for n in range(1, 9)])
    run = place(policy).done(slice=8, max_steps=3)
    assert run.trajectories()[0][0].stop is StopReason.STEP_LIMIT
    gone_on(run, 8)
    (record,) = run.trajectories()[0]
    assert len(record.steps) == 6
    assert record.stop is StopReason.STEP_LIMIT


def test_wait_for_human_does_not_ask_before_continue(place: Make) -> None:
    policy = ClickOnce()
    here = place(policy)
    run = here.done(slice=8, wait_for_human=True)
    assert policy.calls == []
    assert kinds(run.log.events()) == ["started", "slice", "finished"]
    clicked(run, 8, 0.3, 0.3)
    assert policy.calls == []
    gone_on(run, 8)
    assert len(policy.calls) == 1
    assert_told(run, here)


def test_volume_that_waits_begins_with_continue_from_the_persons_clicks(place: Make) -> None:
    here = place()
    run = clicked(here.done(scope="volume", wait_for_human=True), 20, 0.5, 0.5)
    assert run.mask().any(axis=(1, 2)).sum() == 1
    gone_on(run, 20)
    assert run.mask().any(axis=(1, 2)).sum() > 1
    assert run.trajectories()[0]
    assert_told(run, here)


def test_clicks_at_the_start_come_before_the_agents_first_look(place: Make) -> None:
    policy = ClickOnce()
    run = place(policy).done(clicks=[{"index": 7, "x": 0.2, "y": 0.2}])
    (record,) = run.trajectories()[0]
    assert record.slice.index == 7
    assert [step.author.value for step in record.steps] == ["human", "agent"]
    assert policy.calls[0][0].mask[8, 8]


def test_start_label_is_kept_where_the_agent_does_not_come(place: Make) -> None:
    here = place()
    here.write("tube.final", image_of(tube(first=10, last=12).astype(np.int16)))
    before = sitk.GetArrayFromImage(sitk.ReadImage(str(here.studies.label("tube", "final")))) > 99
    here.write("tube.final", mask_of(before))
    run = here.done(slice=11, start_label="final")
    np.testing.assert_array_equal(run.mask() > 0, before)
    (record,) = run.trajectories()[0]
    np.testing.assert_array_equal(record.start.decode(), before[11])
    assert_told(run, here)


def mask_of(array: np.ndarray) -> sitk.Image:
    mask = sitk.GetImageFromArray(array.astype(np.uint8))
    mask.CopyInformation(image_of(tube()))
    return mask


def test_label_on_another_grid_is_refused(place: Make) -> None:
    here = place()
    here.write("tube.final", sitk.GetImageFromArray(np.ones((2, 3, 4), np.uint8)))
    with pytest.raises(InvalidRequest, match="voxels"):
        here.start(start_label="final")


def test_resume_takes_all_steps_up_and_goes_on_where_it_was_cut_off(place: Make) -> None:
    here = place(ListPolicy([click(0.5, 0.5)]))
    old = undone(here.done(slice=8), 8)  # the agent's "enough" is taken back, the slice is open
    run = here.done(slice=8, resume=old.name)
    (record,) = run.trajectories()[0]
    assert len(record.steps) == 2
    assert record.stop is StopReason.TERMINATED
    undone(undone(run, 8), 8)
    assert not run.mask().any()
    assert old.mask().any()


def test_resumed_run_asks_for_what_its_own_prompt_says(place: Make) -> None:
    policy = ClickOnce()
    here = place(policy)
    old = undone(here.done(slice=8), 8)
    run = here.done(prompt="the other tube", slice=8, resume=old.name)
    assert "the other tube" in policy.calls[-1][0].messages[-1]["content"][-1]["text"]
    assert run.trajectories()[0][0].prompt == "the other tube"


def test_resumed_volume_starts_from_the_earlier_mask(place: Make) -> None:
    here = place()
    old = here.done(scope="range", first=10, last=12)
    run = here.done(scope="volume", resume=old.name)
    assert (run.mask() >= old.mask()).all()
    assert_told(run, here)


def test_resume_of_another_image_is_refused(place: Make) -> None:
    here = place()
    here.write("other", image_of(tube()))
    old = here.done("other")
    with pytest.raises(InvalidRequest, match="of the image other"):
        here.start(resume=old.name)
    here.write("tube.final", mask_of(tube()))
    with pytest.raises(InvalidRequest, match="not from several"):
        here.start("tube", resume=old.name, start_label="final")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"slice": 40}, SliceOutOfRange),
        ({"scope": "range", "last": 40}, SliceOutOfRange),
        ({"clicks": [{"index": 40, "x": 0.5, "y": 0.5}]}, SliceOutOfRange),
        ({"clicks": [{"ijk": [0, 0, 99]}]}, InvalidClick),
        ({"slice": 3, "clicks": [{"index": 4, "x": 0.5, "y": 0.5}]}, InvalidRequest),
        ({"window": "bright"}, InvalidRequest),
        ({"plane": "picture"}, InvalidRequest),
    ],
)
def test_what_does_not_fit_the_image_is_refused_at_the_start(
    place: Make, fields: dict[str, object], kind: type[Exception]
) -> None:
    here = place()
    with pytest.raises(kind):
        here.start(**fields)
    assert here.runs.all() == []


def test_unknown_prompt_is_refused_at_the_start(place: Make) -> None:
    profile = load_profile().model_copy(update={"targets": ("liver",)})
    with pytest.raises(UnknownPrompt):
        place(profile=profile).start()


@pytest.mark.parametrize("index", [40, 4000])
def test_orders_on_slices_that_are_not_there_are_refused(place: Make, index: int) -> None:
    run = place().done(slice=8)
    with pytest.raises(SliceOutOfRange):
        run.click(ClickOrder.parse({"index": index, "x": 0.5, "y": 0.5}))
    with pytest.raises(SliceOutOfRange):
        run.undo(SliceOrder(index=index))
    with pytest.raises(SliceOutOfRange):
        run.go_on(SliceOrder(index=index))


def test_cancel_takes_effect_while_a_reply_is_written(place: Make) -> None:
    policy, tool = Gated(ClickOnce()), DiscTool()
    run = place(policy, tool=tool).start(slice=8)
    policy.wait_until_asked()
    run.cancel()
    rest(run)
    last = run.log.last
    assert isinstance(last, Finished)
    assert last.cancelled
    assert tool.asked == []


def test_cancelled_reply_is_not_carried_out(place: Make) -> None:
    policy, tool = Gated(ClickOnce(), heeds_cancel=False), DiscTool()
    run = place(policy, tool=tool).start(slice=8)
    policy.wait_until_asked()
    run.cancel()
    policy.let_through()
    rest(run)
    assert tool.asked == []
    assert not run.found


def test_cancelled_run_keeps_what_stands_and_can_be_taken_over(place: Make) -> None:
    policy = Gated(ListPolicy([click(0.5, 0.5)]))
    here = place(policy)
    run = here.start(slice=8)
    policy.let_through()
    eventually(lambda: any(isinstance(event, Stepped) for event in run.log.events()))
    run.cancel()
    rest(run)
    assert run.found
    policy.let_through(9)
    clicked(run, 8, 0.1, 0.1, then="agent")
    (record,) = run.trajectories()[0]
    assert [step.author.value for step in record.steps] == ["agent", "human", "agent"]
    assert_told(run, here)


def test_orders_are_refused_while_a_run_is_being_cancelled(place: Make) -> None:
    policy = Gated(ClickOnce(), heeds_cancel=False)
    run = place(policy).start(slice=8)
    policy.wait_until_asked()
    run.cancel()
    with pytest.raises(RunGoingOn):
        run.click(ClickOrder.parse({"index": 8, "x": 0.5, "y": 0.5}))
    with pytest.raises(RunGoingOn):
        run.require_rest()
    policy.let_through()
    rest(run)
    run.require_rest()


def test_tool_out_of_memory_fails_this_run_and_an_order_lets_it_try_again(place: Make) -> None:
    tool = DiscTool(failure=ToolOutOfMemory("No room.", "Buy more."))
    here = place(tool=tool)
    run = here.done(slice=8)
    assert run.state is State.FAILED
    assert run.describe().error == {
        "code": "tool_out_of_memory",
        "message": "No room.",
        "fix": "Buy more.",
    }
    assert isinstance(run.log.last, Failed)
    tool.failure = None
    gone_on(run, 8)
    assert run.state is State.RESTING
    assert run.describe().error is None
    assert run.found


def test_our_own_mistake_fails_the_run_and_names_no_detail(place: Make) -> None:
    run = place(tool=DiscTool(failure=KeyError("secret"))).done(slice=8)
    assert run.describe().error["code"] == "internal_error"
    assert "secret" not in str(run.describe().error)


@pytest.mark.parametrize(
    ("script", "stop"),
    [
        ([click(0.01 * n, 0.5) for n in range(1, 60)], StopReason.STEP_LIMIT),
        ([click(0.5, 0.5)] * 60, StopReason.REPEATED_ACTION),
        (["Lorem ipsum"] * 60, StopReason.MALFORMED),
        ([TERMINATE], StopReason.NOT_PRESENT),
    ],
)
def test_model_that_never_ends_repeats_or_writes_nonsense(
    place: Make, script: list[str], stop: StopReason
) -> None:
    run = place(ListPolicy(list(script))).done(slice=8)
    assert run.state is State.RESTING
    assert run.trajectories()[0][0].stop is stop
    assert run.describe().answer


def test_failing_policy_is_told(place: Make) -> None:
    run = place(ListPolicy([RuntimeError("boom")])).done(slice=8)
    assert run.describe().error["code"] == "policy_failed"


def test_image_deleted_in_a_run(place: Make) -> None:
    policy = Gated(ClickOnce())
    here = place(policy)
    run = here.start(slice=8)
    policy.wait_until_asked()
    here.studies.image("tube").unlink()
    policy.let_through(9)
    rest(run)
    assert run.state is State.RESTING
    assert run.mask()[8].any()
    run.go_on(SliceOrder(index=8))
    rest(run)
    assert run.state is State.FAILED
    assert run.mask()[8].any()


def test_image_replaced_by_another_is_noticed(place: Make) -> None:
    here = place()
    run = here.done(slice=8)
    here.write("tube", image_of(tube(size=(40, 40, 45))))
    gone_on(run, 8)
    assert run.describe().error["code"] == "invalid_request"


def test_two_runs_on_one_image_do_not_meet(place: Make) -> None:
    here = place(ListPolicy([]))
    first, second = here.done(slice=8), here.done(slice=8)
    clicked(first, 8, 0.1, 0.1)
    assert first.mask().any()
    assert not second.mask().any()


def test_records_fit_the_published_schema(place: Make) -> None:
    run = clicked(place().done(slice=8), 8, 0.1, 0.1)
    (record,) = run.trajectories()[0]
    again = Trajectory.model_validate_json(record.model_dump_json())
    assert again.slice.image == "tube"
    assert again.policy == "click-once"
