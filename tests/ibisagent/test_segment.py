"""From a request to a mask of the image, on volumes that lie as they like."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import SimpleITK as sitk
from harness.fake_tool import DiscTool
from harness.list_policy import TERMINATE, ListPolicy, click

from ibisagent.actions import Click, format_reply
from ibisagent.agent import Agent
from ibisagent.episode import Step, StopReason
from ibisagent.errors import (
    InvalidRequest,
    PolicyFailed,
    SliceOutOfRange,
    ToolOutOfMemory,
    UnknownPrompt,
)
from ibisagent.metrics import dice
from ibisagent.policies.base import Cancelled, Observation, never
from ibisagent.policies.scripted import annotate
from ibisagent.prompts import PromptProfile
from ibisagent.segment import Method, Scope, SegmentRequest, segment
from ibisagent.slice_player import BATCH
from ibisagent.slices import Plane, SliceView
from ibisagent.tools.base import RGB, Mask, Segmentation

PROFILE = PromptProfile(name="test", first="Find {prompt}", refine="Refine {prompt}")
GREY = "127.5,255"  # 0 is black and 255 white
SIZE = (14, 17, 20)  # (k, j, i)
INSIDE = 8  # a slice that meets the target along every axis

DIRECTIONS = {
    "plain": np.eye(3),
    "flipped": np.diag([-1.0, -1.0, 1.0]),
    "permuted": np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]),
    "oblique": np.reshape(sitk.Euler3DTransform((0, 0, 0), 0.35, -0.5, 0.8).GetMatrix(), (3, 3)),
}


def bright(rgb: RGB) -> Mask:
    """Pixels that are white in the image, with or without the overlay's tint."""
    return np.asarray(rgb[..., 0] > 128)


class Annotator:
    """Looks for what is bright, and needs a click only if there is any."""

    name = "bright-annotator"

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        return [
            format_reply(annotate(bright(seen.pictures[-1]), seen.mask, "ball", 0.8))
            for seen in observations
        ]


class BrightTool:
    """Segments everything bright, whatever is clicked."""

    name = "bright-tool"

    def set_image(self, rgb: RGB) -> BrightTool:
        self._rgb = rgb
        return self

    def segment(self, clicks: Sequence[Click], prior: Segmentation | None = None) -> Segmentation:
        return Segmentation(bright(self._rgb), 1.0)


def truth(size: tuple[int, int, int] = SIZE) -> np.ndarray:
    """A ball with a horn, mirror image of nothing, in none of the outermost slices; (k, j, i)."""
    k, j, i = np.ogrid[: size[0], : size[1], : size[2]]
    mask = (k - 5) ** 2 + (j - 7) ** 2 + (i - 11) ** 2 <= 16
    mask[5:9, 3:6, 12:18] = True
    return np.asarray(mask)


def volume(
    direction: np.ndarray | None = None, spacing: Sequence[float] = (1.0, 1.0, 1.0)
) -> sitk.Image:
    image = sitk.GetImageFromArray(truth().astype(np.int16) * 255)
    image.SetDirection((np.eye(3) if direction is None else direction).ravel().tolist())
    image.SetSpacing(spacing)
    image.SetOrigin((-31.0, 12.0, 200.0))
    return image


def picture() -> sitk.Image:
    array = np.zeros((30, 40, 3), dtype=np.uint8)
    array[5:15, 20:35] = 255
    return sitk.GetImageFromArray(array, isVector=True)


def request(**fields: object) -> SegmentRequest:
    """For a volume, every slice is asked; `tests/ibisagent/propagation` is about the other way."""
    every = {"prompt": "ball", "window": GREY, "method": "every_slice"}
    return SegmentRequest.parse({**every, **fields})


def replay(*script: str | Exception, targets: tuple[str, ...] = ()) -> Agent:
    profile = PROFILE.model_copy(update={"targets": targets})
    return Agent(ListPolicy(list(script)), DiscTool(2.0), profile)


BRIGHT = Agent(Annotator(), BrightTool(), PROFILE)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("direction", DIRECTIONS)
class TestGeometry:
    def test_a_volume_comes_back_voxel_for_voxel(self, direction: str, plane: str) -> None:
        image = volume(DIRECTIONS[direction])
        result = segment(image, request(plane=plane, scope="volume"), BRIGHT)
        assert result.mask.dtype == np.uint8
        assert np.array_equal(result.mask, truth())

    def test_oblong_voxels(self, direction: str, plane: str) -> None:
        image = volume(DIRECTIONS[direction], spacing=(0.7, 0.9, 2.5))
        result = segment(image, request(plane=plane, scope="volume"), BRIGHT)
        assert dice(result.mask.astype(bool), truth()) > 0.97

    def test_a_slice_changes_nothing_else(self, direction: str, plane: str) -> None:
        image = volume(DIRECTIONS[direction])
        index = INSIDE
        result = segment(image, request(plane=plane, slice=index), BRIGHT)
        view = SliceView(image, plane, GREY)
        expected = np.zeros(SIZE, dtype=np.uint8)
        view.into_volume(view.from_volume(truth(), index), expected, index)
        assert expected.any()
        assert np.array_equal(result.mask, expected)

    def test_the_recorded_click_lies_in_the_target(self, direction: str, plane: str) -> None:
        image = volume(DIRECTIONS[direction])
        (trajectory,) = segment(image, request(plane=plane, slice=INSIDE), BRIGHT).trajectories
        pixel = trajectory.steps[0].pixel
        assert pixel is not None
        i, j, k = SliceView(image, plane).pixel_to_index(*pixel, trajectory.slice.index)
        assert truth()[k, j, i]


def test_clicks_paint_the_target() -> None:
    agent = Agent(Annotator(), DiscTool(1.5), PROFILE)
    result = segment(volume(), request(scope="volume", max_steps=50), agent)
    assert dice(result.mask.astype(bool), truth()) > 0.8
    looked_at = [trajectory.slice.index for trajectory in result.trajectories]
    assert looked_at == list(range(SIZE[0]))
    found = np.flatnonzero(truth().any(axis=(1, 2)))
    marked = [t.slice.index for t in result.trajectories if t.mask.decode().any()]
    assert marked == found.tolist()
    assert result.answer == (
        f"The target was found on {len(found)} of 14 axial slices, {result.mask.sum()} voxels."
    )


def test_the_middle_slice_is_the_default() -> None:
    result = segment(volume(), request(), replay(click(0.5, 0.5)), name="case 1")
    (trajectory,) = result.trajectories
    assert trajectory.slice.model_dump() == {
        "image": "case 1",
        "plane": "axial",
        "index": 7,
        "height": 17,
        "width": 20,
        "pixel_mm": 1.0,
        "window": GREY,
    }
    assert set(np.nonzero(result.mask)[0]) == {7}
    assert result.answer == "Done."
    assert (trajectory.policy, trajectory.tool, trajectory.profile) == (
        "list-policy",
        "disc-tool",
        "test",
    )


def test_slices_of_a_batch_are_asked_together() -> None:
    agent = replay()
    segment(volume(), request(scope="volume"), agent)
    assert agent.policy.calls == [BATCH, SIZE[0] - BATCH]


def test_an_absent_target_is_an_empty_mask_and_a_sentence() -> None:
    result = segment(volume(), request(slice=0), BRIGHT)
    assert not result.mask.any()
    assert result.answer == "There is no ball in this image."
    result = segment(volume(), request(scope="volume"), replay())
    assert not result.mask.any()
    assert result.answer == "The target was found on none of 14 axial slices."


def test_an_agent_without_a_last_word_is_spoken_for() -> None:
    result = segment(volume(), request(max_steps=1), replay(click(0.5, 0.5)))
    assert result.answer == "The agent stopped: step limit."
    assert result.mask.any()


@pytest.mark.parametrize("plane", ["axial", "picture"])
def test_a_picture_has_one_slice(plane: str) -> None:
    result = segment(picture(), request(plane=plane), BRIGHT)
    assert result.mask.shape == (30, 40)
    expected = np.zeros((30, 40))
    expected[5:15, 20:35] = 1
    assert np.array_equal(result.mask, expected)
    assert result.trajectories[0].slice.plane == "picture"
    volume_scope = segment(picture(), request(plane=plane, scope="volume"), BRIGHT)
    assert np.array_equal(volume_scope.mask, expected)


RANGES = [({"first": 4, "last": 6}, [4, 5, 6]), ({"last": 1}, [0, 1]), ({"first": 12}, [12, 13])]


@pytest.mark.parametrize(("ends", "asked"), RANGES)
def test_a_range_asks_on_each_of_its_slices(ends: dict[str, int], asked: list[int]) -> None:
    result = segment(volume(), request(scope="range", **ends), BRIGHT)
    assert [record.slice.index for record in result.trajectories] == asked
    outside = np.setdiff1d(np.arange(SIZE[0]), asked)
    assert np.array_equal(result.mask[asked] > 0, truth()[asked])
    assert not result.mask[outside].any()
    assert f"of {len(asked)} axial slices" in result.answer


def test_on_step_is_told_slice_and_step() -> None:
    told: list[tuple[int, Step]] = []
    agent = replay(click(0.5, 0.5), TERMINATE)
    segment(volume(), request(slice=4), agent, on_step=lambda *args: told.append(args))
    assert [index for index, _ in told] == [4, 4]
    assert told[0][1].click == Click(0.5, 0.5)


class TestCancelling:
    def test_before_anything(self) -> None:
        agent = replay(click(0.5, 0.5))
        result = segment(volume(), request(), agent, cancelled=lambda: True)
        assert not result.mask.any()
        assert [t.stop for t in result.trajectories] == [StopReason.CANCELLED]
        assert result.answer == "The agent stopped: cancelled."
        assert agent.policy.calls == []

    def test_midway_what_stands_stays(self) -> None:
        steps: list[int] = []
        agent = Agent(Annotator(), BrightTool(), PROFILE)
        result = segment(
            volume(),
            request(scope="volume"),
            agent,
            on_step=lambda index, step: steps.append(index),
            cancelled=lambda: len(steps) >= 5,
        )
        assert steps == [0, 1, 2, 3, 4]
        assert len(result.trajectories) == BATCH  # later slices were not looked at
        assert np.array_equal(result.mask[:5], truth()[:5])
        assert not result.mask[5:].any()
        stops = [trajectory.stop for trajectory in result.trajectories]
        assert stops[0] is StopReason.NOT_PRESENT
        assert stops[-1] is StopReason.CANCELLED


class TestRefusals:
    def test_a_prompt_that_the_model_does_not_know(self) -> None:
        agent = replay(targets=("kidney", "liver"))
        with pytest.raises(UnknownPrompt, match="'ball'") as caught:
            segment(volume(), request(), agent)
        assert "kidney, liver" in caught.value.fix
        assert agent.policy.calls == []
        segment(volume(), request(prompt="the Liver"), agent)

    @pytest.mark.parametrize(("plane", "count"), [("axial", 14), ("coronal", 17), ("sagittal", 20)])
    def test_a_slice_out_of_range(self, plane: str, count: int) -> None:
        with pytest.raises(SliceOutOfRange, match=f"no {plane} slice {count}") as caught:
            segment(volume(), request(plane=plane, slice=count), replay())
        assert f"0 to {count - 1}" in caught.value.fix
        segment(volume(), request(plane=plane, slice=count - 1), replay())

    def test_a_window_there_is_not(self) -> None:
        with pytest.raises(InvalidRequest, match="no window 'sunny'"):
            segment(volume(), request(window="sunny"), replay())

    def test_a_plane_of_pictures_for_a_volume(self) -> None:
        with pytest.raises(InvalidRequest, match='no plane "picture"'):
            segment(volume(), request(plane="picture"), replay())

    def test_failures_of_policy_and_tool_pass(self) -> None:
        with pytest.raises(PolicyFailed, match="out of luck"):
            segment(volume(), request(), replay(RuntimeError("out of luck")))
        agent = replay(click(0.5, 0.5))
        agent.tool.failure = ToolOutOfMemory("No room.", "Buy more.")
        with pytest.raises(ToolOutOfMemory):
            segment(volume(), request(), agent)


class TestRequest:
    def test_defaults(self) -> None:
        asked = SegmentRequest.parse({"prompt": " the left kidney\n"})
        assert asked.prompt == "the left kidney"
        assert (asked.plane, asked.slice, asked.scope) == (Plane.AXIAL, None, Scope.SLICE)
        assert (asked.window, asked.max_steps) == ("auto", 10)
        assert (asked.method, asked.clean) == (Method.PROPAGATE, [])

    def test_values_may_be_text(self) -> None:
        asked = SegmentRequest.parse(
            {"prompt": "x", "slice": "7", "max_steps": "3", "scope": "volume", "plane": "coronal"}
        )
        assert (asked.slice, asked.max_steps) == (7, 3)

    @pytest.mark.parametrize(
        ("fields", "name"),
        [
            ({}, "prompt"),
            ({"prompt": ""}, "prompt"),
            ({"prompt": " \n"}, "prompt"),
            ({"prompt": "x" * 501}, "prompt"),
            ({"prompt": None}, "prompt"),
            ({"prompt": ["x"]}, "prompt"),
            ({"prompt": "the <|image_pad|>"}, "prompt"),
            ({"prompt": "\ud800"}, "prompt"),
            ({"prompt": "x", "slice": -1}, "slice"),
            ({"prompt": "x", "slice": 1.5}, "slice"),
            ({"prompt": "x", "slice": "last"}, "slice"),
            ({"prompt": "x", "plane": "diagonal"}, "plane"),
            ({"prompt": "x", "scope": "all"}, "scope"),
            ({"prompt": "x", "method": "magic"}, "method"),
            ({"prompt": "x", "clean": "largest, soap"}, "clean"),
            ({"prompt": "x", "clean": 3}, "clean"),
            ({"prompt": "x", "window": 40}, "window"),
            ({"prompt": "x", "max_steps": 0}, "max_steps"),
            ({"prompt": "x", "max_steps": 51}, "max_steps"),
            ({"prompt": "x", "scope": "range", "first": -1}, "first"),
            ({"prompt": "x", "scope": "range", "last": "end"}, "last"),
        ],
    )
    def test_the_first_bad_field_is_named(self, fields: dict[str, object], name: str) -> None:
        with pytest.raises(InvalidRequest, match=f"The field '{name}'") as caught:
            SegmentRequest.parse(fields)
        assert caught.value.fix.startswith(f"{name}: ")

    @pytest.mark.parametrize("extra", ["image", "model", "Prompt", "__class__"])
    def test_unknown_fields_are_named(self, extra: str) -> None:
        with pytest.raises(InvalidRequest, match=f"The field '{extra}'") as caught:
            SegmentRequest.parse({"prompt": "x", extra: 1})
        assert "Known fields: prompt, plane, slice" in caught.value.fix

    @pytest.mark.parametrize(
        "fields", [{"first": 2}, {"last": 2}, {"scope": "range", "first": 3, "last": 2}]
    )
    def test_a_range_that_is_none(self, fields: dict[str, object]) -> None:
        with pytest.raises(InvalidRequest, match="range"):
            SegmentRequest.parse({"prompt": "x", **fields})

    @pytest.mark.parametrize("fields", [[], None, "x", 3])
    def test_what_is_no_table_of_fields(self, fields: object) -> None:
        with pytest.raises(InvalidRequest, match="'request'"):
            SegmentRequest.parse(fields)  # type: ignore[arg-type]
