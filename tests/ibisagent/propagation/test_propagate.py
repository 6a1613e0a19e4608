"""Whole volumes: a tool whose masks are known, and annotators that know the truth or do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from harness.fake_tool import DiscTool
from harness.list_policy import TERMINATE
from harness.phantom import GREY, image_of, tube
from pydantic import ValidationError

from ibisagent.actions import Click
from ibisagent.agent import Agent
from ibisagent.episode import Author, StopReason
from ibisagent.errors import InvalidRequest, SliceOutOfRange, ToolOutOfMemory
from ibisagent.metrics import dice
from ibisagent.policies.base import Cancelled, Observation, never
from ibisagent.policies.volume_annotator import VolumeAnnotator
from ibisagent.prompts import PromptProfile
from ibisagent.propagation import PropagationSettings
from ibisagent.propagation.progress import Progress
from ibisagent.segment import SegmentRequest, SegmentResult, segment
from ibisagent.slice_player import Given
from ibisagent.slices import SliceView
from ibisagent.tools.base import RGB, Segmentation
from ibisagent.trajectory import CarriedSlice, Trajectory

PROFILE = PromptProfile(name="test", first="Find {prompt}", refine="Refine {prompt}")
DIRECTIONS = {
    "plain": np.eye(3),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "permuted": np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]),
    "oblique": np.reshape(sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.4).GetMatrix(), (3, 3)),
}
PLANES = ["axial", "coronal", "sagittal"]
RADIUS = 7.0
CLICKS = PropagationSettings().clicks


class BrightTool:
    """Segments everything bright, whatever is clicked."""

    name = "bright-tool"

    def set_image(self, rgb: RGB) -> BrightTool:
        self._mask = rgb[:, :, 0] >= 100
        return self

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        return Segmentation(self._mask, 1.0)


@dataclass
class Asked:
    """The annotator, counted; on some slices it sees nothing.

    Attributes:
        view: The image.
        truth: Axes (k, j, i).
        blind: Slices on which it sees nothing.
        calls: Number of observations.
    """

    view: SliceView
    truth: np.ndarray
    blind: Sequence[int] = ()
    calls: int = 0

    name = "counted-annotator"

    def __post_init__(self) -> None:
        seen = self.truth.copy()
        for index in self.blind:
            self.view.into_volume(np.zeros(self.view.shape, bool), seen, index)
        self._annotator = VolumeAnnotator(self.view, seen, "tube", stop_iou=0.8)

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        self.calls += len(observations)
        return self._annotator.replies(observations)


@dataclass
class Scene:
    """An image, its truth, an annotator and a tool."""

    truth: np.ndarray
    plane: str = "axial"
    direction: np.ndarray | None = None
    spacing: tuple[float, float, float] = (3.0, 3.0, 3.0)
    blind: Sequence[int] = ()
    tool: Any = field(default_factory=lambda: DiscTool(RADIUS))

    def __post_init__(self) -> None:
        self.image = image_of(self.truth, self.direction, self.spacing)
        self.view = SliceView(self.image, self.plane, GREY)
        self.policy = Asked(self.view, self.truth, self.blind)

    def run(self, given: Given | None = None, hooks: dict[str, Any] | None = None, **fields):
        request = SegmentRequest.parse(
            {"prompt": "tube", "plane": self.plane, "window": GREY, "scope": "volume", **fields}
        )
        agent = Agent(self.policy, self.tool, PROFILE)
        return segment(self.image, request, agent, given=given or Given(), **(hooks or {}))

    def present(self, mask: np.ndarray) -> list[int]:
        """Slices that a mask marks."""
        slices = range(self.view.count)
        return [index for index in slices if self.view.from_volume(mask, index).any()]


def slices_of(records: Sequence[Trajectory | CarriedSlice]) -> list[int]:
    return [record.slice.index for record in records]


def check_records(scene: Scene, result: SegmentResult) -> None:
    """Every marked slice has one record, which says what stands in the volume."""
    records = [*result.trajectories, *result.carried]
    indices = slices_of(records)
    assert len(set(indices)) == len(indices)
    assert set(scene.present(result.mask)) <= set(indices)
    for record in records:
        volume = np.zeros(scene.view.volume_shape, np.uint8)
        scene.view.into_volume(record.mask.decode(), volume, record.slice.index)
        expected = scene.view.from_volume(volume, record.slice.index)
        assert np.array_equal(scene.view.from_volume(result.mask, record.slice.index), expected)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_tube_of_any_position_is_followed(direction: str, plane: str) -> None:
    view = SliceView(image_of(tube(), DIRECTIONS[direction]), plane, GREY)
    voxels = [view.pixel_to_index(0, 0, index) for index in (0, 1)]
    axis = 2 - int(np.flatnonzero(np.subtract(*voxels))[0])
    scene = Scene(tube(axis=axis), plane, DIRECTIONS[direction])
    result = scene.run()
    assert scene.present(result.mask) == scene.present(scene.truth) == list(range(6, 34))
    assert dice(result.mask > 0, scene.truth) > 0.9
    assert len(result.carried) > len(scene.present(scene.truth)) / 2
    check_records(scene, result)
    assert result.answer.startswith(
        f"The target was found on 28 of {view.count} {plane} slices, {len(result.carried)} of them"
    )


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 4.0), (3.0, 3.0, 1.0), (2.0, 1.0, 3.0)])
@pytest.mark.parametrize("plane", PLANES)
def test_oblong_voxels(plane: str, spacing: tuple[float, float, float]) -> None:
    k, j, i = np.ogrid[:36, :40, :44]
    truth = np.asarray(((k - 18) / 12) ** 2 + ((j - 20) / 14) ** 2 + ((i - 20) / 15) ** 2 <= 1)
    scene = Scene(truth, plane, spacing=spacing, tool=BrightTool())
    result = scene.run()
    assert scene.present(result.mask) == scene.present(truth)
    assert dice(result.mask > 0, truth) > 0.95
    assert result.carried
    check_records(scene, result)


def test_fewer_questions_than_on_every_slice() -> None:
    every, carried = Scene(tube()), Scene(tube())
    whole = every.run(method="every_slice")
    result = carried.run()
    assert not whole.carried
    assert slices_of(whole.trajectories) == list(range(40))
    assert carried.policy.calls < every.policy.calls / 2
    assert dice(result.mask > 0, carried.truth) > dice(whole.mask > 0, every.truth) - 0.02


def test_keys_are_chosen_by_millimetres() -> None:
    """Twice as many slices at half the distance are twice as many to carry, not to ask for."""
    truth = tube(drift=0.1)
    coarse = Scene(truth).run()
    fine = Scene(truth.repeat(2, axis=0), spacing=(3.0, 3.0, 1.5)).run()
    assert len(fine.trajectories) <= len(coarse.trajectories) + 4  # two more bisections an end
    assert len(fine.carried) > 1.5 * len(coarse.carried)


class TestWhereItIsNot:
    def test_absent_is_an_empty_mask_without_a_call_of_the_tool(self) -> None:
        scene = Scene(tube() & False)
        result = scene.run()
        assert not result.mask.any()
        assert scene.tool.asked == []
        assert {each.stop for each in result.trajectories} == {StopReason.NOT_PRESENT}
        looked_at = slices_of(result.trajectories)
        assert max(np.diff([-1, *looked_at, 40])) <= 2  # 6 mm
        assert result.answer == (
            f"The target was found on none of 40 axial slices; {len(looked_at)} were looked at."
        )

    def test_two_parts_along_the_axis(self) -> None:
        truth = tube(first=3, last=14) | tube(first=22, last=36)
        scene = Scene(truth)
        result = scene.run()
        assert scene.present(result.mask) == scene.present(truth)
        assert dice(result.mask > 0, truth) > 0.95

    def test_two_parts_aside_of_each_other_and_near(self) -> None:
        """No key slice lies between them: their masks do not overlap, so the agent is asked."""
        low = tube(first=4, last=17, drift=0.0)
        high = np.roll(tube(first=19, last=36, drift=0.0), 15, axis=2)
        scene = Scene(low | high, blind=())
        result = scene.run()
        assert scene.present(result.mask) == scene.present(scene.truth)
        assert dice(result.mask > 0, scene.truth) > 0.95

    def test_two_parts_beside_each_other_on_every_slice(self) -> None:
        pair = tube(drift=0.0, radius=5.0)
        truth = np.roll(pair, -9, axis=2) | np.roll(pair, 9, axis=2)
        scene = Scene(truth, tool=DiscTool(5.0))
        result = scene.run()
        assert dice(result.mask > 0, truth) > 0.95
        assert result.carried

    @pytest.mark.parametrize(("first", "last"), [(0, 20), (15, 39), (0, 39), (39, 39), (0, 0)])
    def test_a_target_that_the_volume_cuts(self, first: int, last: int) -> None:
        scene = Scene(tube(first=first, last=last))
        result = scene.run()
        assert scene.present(result.mask) == list(range(first, last + 1))
        check_records(scene, result)

    def test_a_target_on_few_slices_between_those_of_the_grid(self) -> None:
        scene = Scene(tube(first=3, last=5))
        assert scene.present(scene.run().mask) == [3, 4, 5]

    def test_an_absence_in_the_middle_parts_the_target_there_only(self) -> None:
        scene = Scene(tube(), blind=[16])  # a slice of the grid
        result = scene.run()
        assert scene.present(result.mask) == [i for i in range(6, 34) if i != 16]

    def test_an_absence_at_the_end_is_seen_through(self) -> None:
        scene = Scene(tube(first=6, last=33), blind=[33, 31])
        result = scene.run()
        assert max(scene.present(result.mask)) >= 32


class DoubtfulTool(DiscTool):
    """Answers otherwise on one slice, as often as the tool is asked while a mask is carried.

    Attributes:
        answer: From what a disc tool would answer to what is answered there.
        left: How often it still does.
    """

    def __init__(
        self, view: SliceView, index: int, answer: Callable[[Segmentation], Segmentation], left: int
    ) -> None:
        super().__init__(RADIUS)
        self._picture, self.answer, self.left = view.rgb(index), answer, left

    def set_image(self, rgb: RGB) -> Any:
        prepared = super().set_image(rgb)
        return _Doubtful(self, prepared) if np.array_equal(rgb, self._picture) else prepared


@dataclass
class _Doubtful:
    tool: DoubtfulTool
    prepared: Any

    def segment(self, clicks, prior=None) -> Segmentation:
        made = self.prepared.segment(clicks, prior)
        self.tool.left -= 1
        return made if self.tool.left < 0 else self.tool.answer(made)


class TestDoubt:
    def run(self, answer: Callable, left: int) -> tuple[Scene, SegmentResult]:
        scene = Scene(tube())
        scene.tool = DoubtfulTool(scene.view, 12, answer, left)
        return scene, scene.run()

    def test_a_low_score_asks_the_agent_from_the_expected_mask(self) -> None:
        scene, result = self.run(lambda made: Segmentation(made.mask, 0.1, made.logits), 1)
        (asked,) = [each for each in result.trajectories if each.slice.index == 12]
        assert asked.asked_because == "The tool's score 0.10, below 0.38."
        assert asked.start.decode().any()
        assert dice(result.mask > 0, scene.truth) > 0.95

    def test_another_place_asks_the_agent_afresh(self) -> None:
        scene, result = self.run(
            lambda made: Segmentation(np.roll(made.mask, 12, axis=0), 0.5), CLICKS
        )
        (asked,) = [each for each in result.trajectories if each.slice.index == 12]
        assert asked.asked_because.startswith("IoU of tool and expected mask 0.")
        assert not asked.start.decode().any()
        check_records(scene, result)

    def test_why_the_agent_was_asked_is_on_record(self) -> None:
        result = Scene(tube()).run()
        assert {each.asked_because for each in result.trajectories} == {
            "Looking for the target.",
            "Looking for the target's end.",
        }


class TestGiven:
    def test_three_slices_of_yesterday_are_joined_and_gone_on_from(self) -> None:
        truth = tube()
        mask = np.zeros_like(truth)
        for index in (12, 20, 27):
            mask[index] = truth[index]
        scene = Scene(truth)
        result = scene.run(Given(mask))
        assert scene.present(result.mask) == scene.present(truth)
        assert dice(result.mask > 0, truth) > 0.95
        starts = [each for each in result.trajectories if each.start.decode().any()]
        assert slices_of(starts) == [12, 20, 27]
        assert {each.stop for each in starts} == {StopReason.TERMINATED}
        assert 0 not in slices_of(result.trajectories)  # not looked for elsewhere

    def test_slices_that_the_agent_does_not_look_at_stay(self) -> None:
        truth = tube()
        drawn = truth.copy()
        drawn[9, 0, 0] = True  # a person's mark that the agent would not make
        scene = Scene(truth)
        result = scene.run(Given(drawn))
        assert 9 not in slices_of(result.trajectories)
        assert np.array_equal(result.mask[9] > 0, drawn[9])
        assert not result.carried

    def test_the_agent_goes_on_from_the_key_slices(self) -> None:
        truth = tube()
        scene = Scene(truth, tool=BrightTool())
        half = truth & (np.arange(44) < 20)
        result = scene.run(Given(half))
        (first,) = [each for each in result.trajectories if each.slice.index == 6]
        assert first.asked_because == "A key slice of the starting mask."
        assert dice(first.mask.decode(), truth[6]) > 0.9

    def test_a_given_mask_with_a_hole_in_the_stack_is_filled_in(self) -> None:
        truth = tube()
        drawn = truth.copy()
        drawn[15:18] = False
        result = Scene(truth).run(Given(drawn))
        assert slices_of(result.carried) == [15, 16, 17]

    def test_clicks_of_a_person_come_first_and_are_gone_on_from(self) -> None:
        truth = tube()
        scene = Scene(truth)
        place = np.argwhere(truth[15])[40]
        click = Click.from_pixel(int(place[0]), int(place[1]), 40, 44)
        steps: list[tuple[int, Author]] = []
        told = {"on_step": lambda index, step: steps.append((index, step.author))}
        result = scene.run(Given(clicks={15: [click]}), told)
        assert steps[0] == (15, Author.HUMAN)
        assert scene.present(result.mask) == scene.present(truth)
        (clicked,) = [each for each in result.trajectories if each.slice.index == 15]
        assert clicked.asked_because == "A person clicked here."

    def test_slices_given_far_apart_are_not_bridged_unseen(self) -> None:
        truth = tube()
        mask = np.zeros_like(truth)
        mask[[7, 32]] = truth[[7, 32]]
        result = Scene(truth).run(Given(mask))
        (middle,) = [each for each in result.trajectories if each.slice.index == 19]
        assert middle.asked_because == "Far from the slices that a person gave."

    def test_a_slice_to_begin_with_is_followed_and_no_other_part_looked_for(self) -> None:
        truth = tube(first=3, last=14) | tube(first=22, last=36)
        scene = Scene(truth)
        assert scene.present(scene.run(slice=8).mask) == list(range(3, 15))

    def test_a_slice_without_the_target_begins_the_search(self) -> None:
        scene = Scene(tube())
        assert scene.present(scene.run(slice=1).mask) == list(range(6, 34))

    @pytest.mark.parametrize("scope", ["slice", "volume"])
    def test_given_work_counts_for_single_slices_too(self, scope: str) -> None:
        truth = tube()
        result = Scene(truth).run(Given(truth), scope=scope, method="every_slice", slice=20)
        (here,) = [each for each in result.trajectories if each.slice.index == 20]
        assert here.stop is StopReason.TERMINATED
        assert len(here.steps) == 1

    def test_a_mask_on_another_grid_is_refused(self) -> None:
        with pytest.raises(InvalidRequest, match=r"\(3, 4, 5\)") as caught:
            Scene(tube()).run(Given(np.zeros((3, 4, 5))))
        assert "same grid" in caught.value.fix

    def test_clicks_on_a_slice_there_is_not_are_refused(self) -> None:
        with pytest.raises(SliceOutOfRange, match="no axial slice 40"):
            Scene(tube()).run(Given(clicks={40: [Click(0.5, 0.5)]}))

    def test_a_slice_there_is_not_is_refused(self) -> None:
        with pytest.raises(SliceOutOfRange, match="no axial slice 40"):
            Scene(tube()).run(slice=40)


class TestCancelling:
    @pytest.mark.parametrize("after", [0, 1, 5, 12, 20, 40])
    def test_nothing_is_called_any_more_and_what_stands_is_returned(self, after: int) -> None:
        scene = Scene(tube())

        def calls() -> int:
            return scene.policy.calls + len(scene.tool.asked)

        made: list[int] = []

        def cancelled() -> bool:
            made.append(calls())
            return calls() >= after

        result = scene.run(hooks={"cancelled": cancelled})
        assert made[-1] == calls()
        assert calls() <= after + 8  # a batch that was asked together
        assert result.trajectories
        done = [each for each in result.trajectories if each.stop is not StopReason.CANCELLED]
        for each in [*done, *result.carried]:
            here = scene.view.from_volume(result.mask, each.slice.index) > 0
            assert np.array_equal(here, each.mask.decode())

    def test_midway_the_settled_slices_stand(self) -> None:
        scene, settled = Scene(tube()), []
        hooks = {
            "on_slice_done": settled.append,
            "cancelled": lambda: sum(isinstance(each, CarriedSlice) for each in settled) >= 3,
        }
        result = scene.run(hooks=hooks)
        assert len(result.carried) == 3
        assert set(slices_of(settled)) == set(slices_of([*result.trajectories, *result.carried]))
        assert len(scene.present(result.mask)) < 28


class TestTelling:
    def test_each_settled_slice_is_told_once(self) -> None:
        told: list[Any] = []
        result = Scene(tube()).run(hooks={"on_slice_done": told.append})
        assert sorted(slices_of(told)) == sorted(slices_of([*result.trajectories, *result.carried]))

    @pytest.mark.parametrize("method", ["propagate", "every_slice"])
    def test_progress_never_promises_too_little_and_ends_at_zero(self, method: str) -> None:
        told: list[Progress] = []
        scene = Scene(tube())
        result = scene.run(method=method, hooks={"on_progress": told.append})
        assert [each.done for each in told] == sorted(each.done for each in told)
        total = len(result.trajectories) + len(result.carried)
        assert told[-1] == Progress(total, 0, 0.0)
        for each in told:
            assert each.done + each.left >= total
            assert each.seconds_left is None or each.seconds_left >= 0.0

    def test_records_can_be_written_and_read(self) -> None:
        result = Scene(tube()).run()
        for each in result.carried:
            assert CarriedSlice.model_validate_json(each.model_dump_json()) == each
            assert each.between[0] < each.slice.index < each.between[1]
            assert each.agreement > 0.7
            assert each.clicks
        for trajectory in result.trajectories:
            assert Trajectory.model_validate_json(trajectory.model_dump_json()) == trajectory

    def test_a_record_whose_masks_do_not_fit_is_refused(self) -> None:
        record = Scene(tube()).run().carried[0].model_dump()
        record["slice"]["height"] += 1
        with pytest.raises(ValidationError, match="height and width"):
            CarriedSlice.model_validate(record)


class TestSmallMatters:
    def test_steps_are_cleaned_only_if_asked_for(self) -> None:
        truth = tube(first=3, last=14) | tube(first=22, last=36)
        assert Scene(truth).run().mask[5].any()
        cleaned = Scene(truth).run(clean="largest")
        assert not cleaned.mask[:20].any()
        assert cleaned.answer.endswith("Cleaned: largest.")

    def test_an_unknown_step_is_named(self) -> None:
        with pytest.raises(InvalidRequest, match="'clean'"):
            Scene(tube()).run(clean="polish")

    def test_one_slice_only(self) -> None:
        truth = tube(size=(1, 40, 44), first=0, last=0)
        result = Scene(truth).run()
        assert dice(result.mask > 0, truth) > 0.9
        assert len(result.trajectories) == 1

    def test_failures_of_the_tool_pass(self) -> None:
        scene = Scene(tube())
        scene.tool.failure = ToolOutOfMemory("No room.", "Buy more.")
        with pytest.raises(ToolOutOfMemory):
            scene.run()

    def test_an_agent_that_says_nothing_of_use(self) -> None:
        class Nonsense:
            name = "nonsense"

            def replies(self, observations, cancelled=never):
                return ["I do not know."] * len(observations)

        scene = Scene(tube())
        scene.policy = Nonsense()
        result = scene.run()
        assert not result.mask.any()
        assert {each.stop for each in result.trajectories} == {StopReason.MALFORMED}

    def test_an_agent_that_never_stops(self) -> None:
        class Painter:
            name = "painter"
            count = 0

            def replies(self, observations, cancelled=never):
                self.count += 1
                place = f"0.5{self.count % 10}"
                click = f"<action>Positive Point ({place}, {place})</action>"
                return [click] * len(observations)

        scene = Scene(tube())
        scene.policy = Painter()
        result = scene.run(max_steps=3)
        assert scene.present(result.mask) == list(range(40))
        assert StopReason.STEP_LIMIT in {each.stop for each in result.trajectories}

    def test_terminate_alone_is_absence(self) -> None:
        class Silent:
            name = "silent"

            def replies(self, observations, cancelled=never):
                return [TERMINATE] * len(observations)

        scene = Scene(tube())
        scene.policy = Silent()
        assert not scene.run().mask.any()
