"""Reads states from simulated episodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from ibisagent.metrics import iou
from ibisagent.tools.base import Mask
from ibisagent.trajectory import Trajectory
from ibistrain.episode_record import EPISODE_FORMAT, EpisodeRecord, read_episodes
from ibistrain.labelled_picture import LabelledPicture
from ibistrain.state import GAIN, State

SETTLED = 0.3
"""Least IoU of a settled state."""
SETTLED_BY_POLICY = 0.5
"""The same where a policy clicked: that its clicks were in vain does not say that all would be."""


def read_states(source: Path, pictures: Mapping[str, LabelledPicture]) -> list[State]:
    """States of simulated episodes on pictures of the corpus.

    Args:
        source: Shards as `ibistrain simulate` writes them, in a folder or one of them; or a
            JSON-lines file of trajectories, as its first edition wrote.
        pictures: The corpus by name; episodes on other pictures are passed over.

    Raises:
        InvalidTrajectory: There is no shard, or it is damaged.
    """
    if source.is_dir() or source.suffix == ".parquet" or _holds_episodes(source):
        return states_of_episodes(read_episodes(source), pictures)
    return states_of(read_trajectories(source), pictures)


def states_of_episodes(
    episodes: Iterable[EpisodeRecord], pictures: Mapping[str, LabelledPicture]
) -> list[State]:
    """All moments with a mask, the user's at the start too, on the smaller grid of the corpus."""
    states: list[State] = []
    for episode in episodes:
        where = episode.trajectory.slice
        stem = PurePosixPath(episode.image).name.partition(".")[0]
        picture = pictures.get(f"{stem}/{where.plane}/{where.index}")
        known = picture is not None and picture.set_name == episode.set_name
        if picture is not None and known and episode.target in picture.targets:
            shape = picture.labels.shape
            steps = [step for step in episode.trajectory.steps if step.carried_out]
            drawn = [episode.trajectory.start, *(step.mask for step in steps)]
            masks = [_on_grid(mask.decode(), shape) for mask in drawn]
            least = SETTLED if any(episode.learn) else SETTLED_BY_POLICY
            states.extend(_moments(masks, picture, episode.target, least))
    return states


def read_trajectories(file: Path) -> Iterator[Trajectory]:
    """Trajectories of a JSON-lines file, in order."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield Trajectory.model_validate_json(line)


def states_of(
    trajectories: Iterable[Trajectory], pictures: Mapping[str, LabelledPicture]
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
            masks = [step.mask.decode() for step in trajectory.steps if step.carried_out]
            states.extend(_moments(masks, picture, trajectory.prompt))
    return states


def _moments(
    masks: list[Mask], picture: LabelledPicture, target: str, least: float = SETTLED
) -> Iterator[State]:
    truth = picture.truth(target)
    scores = [iou(mask, truth) for mask in masks]
    for index, mask in enumerate(masks):
        if mask.any():
            settled = max(scores[index:]) < scores[index] + GAIN and scores[index] > least
            yield State(picture.name, target, mask, settled and bool(truth.any()))


def _on_grid(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """The mask's nearest pixels on another grid over the same picture, axes (row, column)."""
    holders = [
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for old, new in zip(mask.shape, shape, strict=True)
    ]
    return np.asarray(mask[np.ix_(*holders)], dtype=bool)


def _holds_episodes(file: Path) -> bool:
    with file.open(encoding="utf-8") as lines:
        return EPISODE_FORMAT in lines.read(100)
