"""Tasks of reinforcement learning: a picture, a request, and the truth to judge by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from ibisagent.errors import InvalidRequest
from ibisagent.tools.base import RGB, Mask
from ibistrain.episode_record import EpisodeRecord
from ibistrain.labelled_picture import LabelledPicture, by_set_and_subject
from ibistrain.picture_store import PictureStore
from ibistrain.questions import ask


@dataclass(frozen=True, eq=False)
class Task:
    """What an episode starts from.

    Attributes:
        key: Names the task in its source.
        prompt: The user's request.
        rgb: The picture, axes (row, column, channel), uint8.
        truth: The target, axes (row, column); empty where it is absent.
        start: A starting mask of the user's, or None.
    """

    key: str
    prompt: str
    rgb: RGB
    truth: Mask
    start: Mask | None = None


class TaskSource(Protocol):
    """Where tasks come from."""

    def draw(self, rng: Random) -> Task:
        """A task at random; the same state of `rng` gives the same task."""
        ...

    def find(self, key: str, prompt: str) -> Task:
        """The task of a key, with this request.

        Raises:
            InvalidRequest: The source has no such task.
        """
        ...


class PictureTasks:
    """Targets of labelled pictures: a set, a subject, a picture and a target, each at random.

    Args:
        pictures: The training side of a corpus.
        synonyms: Other words for targets.
        absent: Share of tasks that ask for what is not there, where labels can tell.
        weights: How often a set is drawn; equally often where not given.

    Raises:
        InvalidRequest: No picture shows a target.
    """

    def __init__(
        self,
        pictures: Sequence[LabelledPicture],
        synonyms: Mapping[str, Sequence[str]],
        absent: float = 0.1,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self._by_name = {f"{p.set_name}/{p.name}": p for p in pictures}
        self._groups = by_set_and_subject(pictures)
        if not self._groups:
            raise _no_tasks()
        self._weights = [(weights or {}).get(name, 1.0) for name in self._groups]
        self._synonyms = synonyms
        self._absent = absent

    def draw(self, rng: Random) -> Task:
        """See `TaskSource.draw`."""
        subjects = rng.choices(list(self._groups.values()), self._weights)[0]
        picture = rng.choice(subjects[rng.choice(list(subjects))])
        missing = [names for names in (picture.absent, picture.never) if names]
        asked = rng.choice(missing) if missing and rng.random() < self._absent else picture.present
        target = rng.choice(asked)
        return self._task(picture, target, ask(target, self._synonyms, rng))

    def find(self, key: str, prompt: str) -> Task:
        """See `TaskSource.find`."""
        name, _, target = key.rpartition("#")
        picture = self._by_name.get(name)
        if picture is None or target not in picture.targets:
            raise _unknown(key)
        return self._task(picture, target, prompt)

    def _task(self, picture: LabelledPicture, target: str, prompt: str) -> Task:
        key = f"{picture.set_name}/{picture.name}#{target}"
        return Task(key, prompt, picture.rgb, picture.truth(target))


class EpisodeTasks:
    """The beginnings of simulated episodes, at the pictures' full size.

    Episodes are drawn by set first, then by subject, so that a subject with many slices does
    not crowd out the others.

    Args:
        episodes: Simulated episodes; their steps are not used.
        root: Folder that their image paths are relative to.

    Raises:
        InvalidRequest: There is no episode.
    """

    def __init__(self, episodes: Iterable[EpisodeRecord], root: Path) -> None:
        self._episodes = {str(n): episode for n, episode in enumerate(episodes)}
        if not self._episodes:
            raise _no_tasks()
        groups: defaultdict[str, defaultdict[str, list[str]]]
        groups = defaultdict(lambda: defaultdict(list))
        for key, episode in self._episodes.items():
            groups[episode.set_name][episode.subject].append(key)
        self._groups = groups
        self._pictures = PictureStore(root)

    def draw(self, rng: Random) -> Task:
        """See `TaskSource.draw`."""
        subjects = self._groups[rng.choice(list(self._groups))]
        key = rng.choice(subjects[rng.choice(list(subjects))])
        return self.find(key, self._episodes[key].trajectory.prompt)

    def find(self, key: str, prompt: str) -> Task:
        """See `TaskSource.find`."""
        episode = self._episodes.get(key)
        if episode is None:
            raise _unknown(key)
        start = episode.trajectory.start.decode()
        truth = episode.truth.decode()
        rgb = self._pictures.rgb(episode)
        return Task(key, prompt, rgb, truth, start if start.any() else None)


def _no_tasks() -> InvalidRequest:
    return InvalidRequest(
        "There is nothing to ask for: no picture shows a labelled target.",
        "Give labelled images of subjects that are not held back, or simulated episodes.",
    )


def _unknown(key: str) -> InvalidRequest:
    return InvalidRequest(
        f"The run to be continued has a task {key} that these data do not have.",
        "Continue it with the data it began with, or begin in a new folder.",
    )
