"""Simulated episodes on pictures of one disc: a wrong click, the right one, and the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from harness.fake_tool import DiscTool, disc
from harness.list_policy import click
from PIL import Image

from ibisagent.actions import Click
from ibisagent.episode import Episode, Limits
from ibisagent.metrics import iou
from ibisagent.prompts import load_profile
from ibisagent.rle import Rle
from ibisagent.subjects import is_held_back
from ibisagent.trajectory import SliceRecord, record
from ibistrain.episode_record import EpisodeRecord

SIDE = 56
PROMPT = "the disc"
WRONG = "<think>There.</think><action>Negative Point (0.0500, 0.0500)</action>"
STOP = "<think>It fits.</think><action>Terminate</action><answer>The disc.</answer>"


def hit(row: int, column: int) -> str:
    """The reply that clicks on the disc."""
    return click((column + 0.5) / SIDE, (row + 0.5) / SIDE)


def write_picture(root: Path, name: str, row: int, column: int) -> None:
    """A grey picture with a bright disc."""
    grey = np.full((SIDE, SIDE), 60, np.uint8)
    grey[disc((SIDE, SIDE), row, column, DiscTool.radius)] = 200
    root.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(root / name)


def disc_episode(
    root: Path, number: int, row: int = 14, column: int = 14, human_first: bool = False
) -> EpisodeRecord:
    """Write a picture and play its episode; the first click is wrong, or a person's."""
    name = f"{number}.png"
    write_picture(root, name, row, column)
    rgb = np.asarray(Image.open(root / name).convert("RGB"))
    episode = Episode(rgb, PROMPT, DiscTool(), load_profile(), Limits())
    if human_first:
        episode.click(Click(0.9, 0.9))
        replies = [click(0.9, 0.9, positive=False), hit(row, column), STOP]
    else:
        replies = [WRONG, hit(row, column), STOP]
    for reply in replies:
        episode.apply(reply)
    truth = disc((SIDE, SIDE), row, column, DiscTool.radius)
    where = SliceRecord(image=name, plane="picture", index=0, height=SIDE, width=SIDE)
    trajectory = record(episode, where, "by hand")
    masks = [trajectory.start.decode(), *(step.mask.decode() for step in trajectory.steps)]
    learn = [True] * len(trajectory.steps)
    learn[0] = False
    return EpisodeRecord(
        set_name="discs",
        subject=_subject(number),
        image=name,
        target="disc",
        labels=["disc"],
        kind="self_correction",
        truth=Rle.encode(truth),
        learn=learn,
        iou=[iou(mask, truth) for mask in masks],
        trajectory=trajectory,
    )


def disc_episodes(root: Path, places: Sequence[tuple[int, int]]) -> list[EpisodeRecord]:
    """One episode a place."""
    return [disc_episode(root, number, *place) for number, place in enumerate(places)]


def _subject(number: int) -> str:
    """A subject of the training side."""
    names = (f"{number}-{try_}" for try_ in range(100))
    return next(name for name in names if not is_held_back("discs", name))
