"""A simulated episode on a picture of the synthetic corpus, with a tool that costs nothing."""

from __future__ import annotations

from random import Random

from harness.fake_tool import DiscTool

from ibisagent.episode import Episode, Limits, run
from ibisagent.metrics import iou
from ibisagent.policies.scripted import ScriptedAnnotator
from ibisagent.prompts import load_profile
from ibisagent.rle import Rle
from ibisagent.trajectory import SliceRecord, record
from ibistrain.episode_record import EpisodeRecord
from ibistrain.labelled_picture import LabelledPicture


def episode(picture: LabelledPicture, seed: int, target: str = "disc") -> EpisodeRecord:
    """One plain episode; there is no image file behind it."""
    truth = picture.truth(target)
    played = Episode(picture.rgb, target, DiscTool(), load_profile(), Limits(max_steps=5))
    run([played], ScriptedAnnotator(truth, target, rng=Random(seed)))
    height, width = truth.shape
    image = f"{picture.set_name}/{picture.name}.png"
    where = SliceRecord(image=image, plane="picture", index=0, height=height, width=width)
    trajectory = record(played, where, "scripted-annotator")
    masks = [trajectory.start, *(step.mask for step in trajectory.steps)]
    return EpisodeRecord(
        set_name=picture.set_name,
        subject=picture.subject,
        image=image,
        target=target,
        labels=[target],
        kind="plain",
        truth=Rle.encode(truth),
        learn=[True] * len(trajectory.steps),
        iou=[iou(mask.decode(), truth) for mask in masks],
        trajectory=trajectory,
    )
