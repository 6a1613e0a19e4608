"""States of simulated episodes: a mask on a picture, on the way to a target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ibisagent.metrics import iou
from ibisagent.tools.base import Mask
from ibisagent.trajectory import Trajectory
from ibistrain.corpus import LabelledPicture

GAIN = 0.03
"""A state is settled when no later click of its episode raised the IoU by more than this."""


@dataclass(frozen=True, eq=False)
class State:
    """One moment of an episode.

    Attributes:
        picture: Name of the picture in the corpus.
        target: What is being segmented.
        mask: The mask of the moment, axes (row, column).
        settled: Whether the annotator's later clicks did not help, so that stopping is right
            even if the mask is not good.
    """

    picture: str
    target: str
    mask: Mask
    settled: bool


def read_trajectories(file: Path) -> Iterator[Trajectory]:
    """Trajectories of a JSON-lines file, in order."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield Trajectory.model_validate_json(line)


def states_of(
    trajectories: Iterable[Trajectory], pictures: dict[str, LabelledPicture]
) -> list[State]:
    """All moments with a mask.

    Args:
        trajectories: Episodes on pictures of the corpus; the prompt is the target's name.
        pictures: The corpus by name; trajectories on other pictures are passed over.
    """
    states: list[State] = []
    for trajectory in trajectories:
        picture = pictures.get(trajectory.slice.image)
        if picture is not None and trajectory.prompt in picture.targets:
            states.extend(_moments(trajectory, picture))
    return states


def _moments(trajectory: Trajectory, picture: LabelledPicture) -> Iterator[State]:
    truth = picture.truth(trajectory.prompt)
    masks = [step.mask.decode() for step in trajectory.steps if step.carried_out]
    scores = [iou(mask, truth) for mask in masks]
    for index, mask in enumerate(masks):
        if mask.any():
            settled = max(scores[index:]) < scores[index] + GAIN and scores[index] > 0.3
            yield State(picture.name, trajectory.prompt, mask, settled and bool(truth.any()))
