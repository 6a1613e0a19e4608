from __future__ import annotations

import numpy as np
import pytest
from harness.fake_tool import DiscTool
from harness.phantom import GREY, image_of, tube

from ibisagent.actions import Click, Reply, Terminate, parse
from ibisagent.episode import Episode
from ibisagent.policies.volume_annotator import VolumeAnnotator
from ibisagent.prompts import PromptProfile
from ibisagent.slices import SliceView

PROFILE = PromptProfile(name="test", first="Find {prompt}", refine="Refine {prompt}")


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_the_slice_is_recognised_under_any_mask(plane: str) -> None:
    truth = tube()
    view = SliceView(image_of(truth), plane, GREY)
    annotator = VolumeAnnotator(view, truth, "tube", stop_iou=0.7)
    for index in range(0, view.count, 5):
        here = view.from_volume(truth, index)
        episode = Episode(view.rgb(index), "tube", DiscTool(6.0), PROFILE)
        for _ in range(4):
            (raw,) = annotator.replies([episode.observe()])
            reply = parse(raw)
            assert isinstance(reply, Reply)
            if isinstance(reply.action, Terminate):
                break
            assert isinstance(reply.action, Click)
            assert here[reply.action.to_pixel(*here.shape)] == reply.action.positive
            episode.apply(raw)
        assert bool(episode.clicks) == here.any()


def test_pictures_that_cannot_be_told_apart_are_refused() -> None:
    truth = np.zeros((3, 8, 8), dtype=bool)
    truth[1, 2:5, 2:5] = True
    image = image_of(truth & False)
    image[:, :, :] = 0
    view = SliceView(image, "axial", GREY)
    annotator = VolumeAnnotator(view, truth, "tube")
    episode = Episode(view.rgb(1), "tube", DiscTool(), PROFILE)
    with pytest.raises(ValueError, match="3 slices with different truths"):
        annotator.replies([episode.observe()])


def test_a_strange_picture_is_refused() -> None:
    truth = tube()
    annotator = VolumeAnnotator(SliceView(image_of(truth), "axial", GREY), truth, "tube")
    strange = np.full((40, 44, 3), 7, np.uint8)
    with pytest.raises(ValueError, match="0 slices"):
        annotator.replies([Episode(strange, "tube", DiscTool(), PROFILE).observe()])
