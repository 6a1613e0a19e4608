"""A labelled set small enough to be judged by hand, and an agent that is good at it.

A "disc" target is a disc around the picture's one white pixel, of the radius of `DiscTool`, so
that one click there segments it perfectly. A "block" lies elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from harness.fake_tool import DiscTool, disc
from harness.list_policy import click
from numpy.typing import NDArray

from ibisagent.agent import Agent
from ibisagent.policies.base import Cancelled, Observation, never
from ibisagent.prompts import PromptProfile, load_profile

HEIGHT, WIDTH = 40, 50
DISC, BLOCK = 1, 2
ABSENT = "<think>I see none.</think><action>Terminate</action><answer>There is none.</answer>"


def picture_and_labels(
    row: int, column: int, block: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture with a white pixel, and its label image; axes (row, column)."""
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    picture[row, column] = 255
    labels = DISC * disc((HEIGHT, WIDTH), row, column, DiscTool.radius).astype(np.uint8)
    if block:
        labels[-8:, -8:] = BLOCK
    return picture, labels


def write_set(
    folder: Path, name: str, places: Sequence[tuple[int, int]], volume: bool = False
) -> Path:
    """Write a set: a picture for each place of the white pixel, or one volume with them as slices.

    The first picture has a block too. All labels may be asked for on all of them.
    """
    (folder / name).mkdir(parents=True)
    pairs = [picture_and_labels(*place, block=n == 0) for n, place in enumerate(places)]
    if volume:
        pairs = [tuple(np.stack(part) for part in zip(*pairs, strict=True))]
    suffix = "nii.gz" if volume else "png"
    items = []
    for number, (picture, labels) in enumerate(pairs):
        item = {"image": f"{number}.{suffix}", "label": f"{number}_labels.{suffix}"}
        sitk.WriteImage(sitk.GetImageFromArray(picture), str(folder / name / item["image"]))
        sitk.WriteImage(sitk.GetImageFromArray(labels), str(folder / name / item["label"]))
        items.append({**item, "labels": {str(DISC): "disc", str(BLOCK): "block"}})
    path = folder / name / "manifest.json"
    path.write_text(json.dumps({"name": name, "items": items}))
    return path


@dataclass
class DiscFinder:
    """Clicks on the brightest pixel if asked for a disc, once; sees nothing else.

    Attributes:
        patience: Number of batches before it fails; negative for never.
        batches: Number of observations in each call.
    """

    patience: int = -1
    batches: list[int] = field(default_factory=list)

    name = "disc-finder"

    def replies(
        self, observations: Sequence[Observation], cancelled: Cancelled = never
    ) -> list[str]:
        if len(self.batches) == self.patience:
            raise RuntimeError("enough")
        self.batches.append(len(observations))
        return [_reply(observation) for observation in observations]


def _reply(seen: Observation) -> str:
    asked = str(seen.messages[-1]["content"][-1]["text"])
    if "disc" not in asked or seen.clicks:
        return ABSENT
    grey = seen.pictures[-1].sum(axis=2)
    row, column = np.unravel_index(int(grey.argmax()), grey.shape)
    return click((column + 0.5) / WIDTH, (row + 0.5) / HEIGHT)


def disc_agent(patience: int = -1, profile: PromptProfile | None = None) -> Agent:
    """An agent that is good at discs and blind to blocks."""
    return Agent(DiscFinder(patience), DiscTool(), profile or load_profile())
