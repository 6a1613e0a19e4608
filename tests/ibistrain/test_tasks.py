from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from harness.disc_episodes import PROMPT, disc_episodes

from ibisagent.errors import InvalidRequest
from ibistrain.labelled_picture import LabelledPicture
from ibistrain.tasks import EpisodeTasks, PictureTasks


def test_pictures_give_present_and_absent_targets(pictures: list[LabelledPicture]):
    tasks = PictureTasks(pictures, {}, absent=0.3)
    drawn = [tasks.draw(Random(seed)) for seed in range(200)]
    absent = [task for task in drawn if not task.truth.any()]

    assert 30 < len(absent) < 90
    assert all(task.key.endswith("#star") for task in absent)
    assert {task.key.rpartition("#")[2] for task in drawn} == {
        "disc", "square left", "thing", "star",
    }  # fmt: skip


def test_what_a_set_never_shows_is_asked_for_as_often_as_what_is_not_there(
    pictures: list[LabelledPicture],
):
    never = dict.fromkeys(("moon", "mars", "venus"), ())
    strange = [replace(one, targets={**never, **one.targets}) for one in pictures]
    tasks = PictureTasks(strange, {}, absent=1.0)
    asked = Counter(tasks.draw(Random(seed)).key.rpartition("#")[2] for seed in range(400))
    assert set(asked) == {"star", "moon", "mars", "venus"}
    assert 150 < asked["star"] < 250
    assert not tasks.find(tasks.draw(Random(0)).key, "the moon").truth.any()


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_task_is_found_again(pictures: list[LabelledPicture], seed: int):
    tasks = PictureTasks(pictures, {"disc": ("circle",)})
    task = tasks.draw(Random(seed))
    again = tasks.find(task.key, task.prompt)

    assert tasks.draw(Random(seed)).key == task.key
    assert again.prompt == task.prompt
    assert np.array_equal(again.truth, task.truth)


def test_episodes_give_their_beginnings(tmp_path: Path):
    episodes = disc_episodes(tmp_path, ((14, 14), (30, 40)))
    tasks = EpisodeTasks(episodes, tmp_path)
    drawn = Counter(tasks.draw(Random(seed)).key for seed in range(40))
    task = tasks.find("1", PROMPT)

    assert set(drawn) == {"0", "1"}
    assert task.prompt == PROMPT
    assert np.array_equal(task.truth, episodes[1].truth.decode())
    assert (task.rgb[30, 40] > task.rgb[0, 0]).all()
    assert task.start is None


def test_a_starting_mask_of_the_user_is_kept(tmp_path: Path):
    (episode,) = disc_episodes(tmp_path, ((14, 14),))
    trajectory = episode.trajectory.model_copy(update={"start": episode.truth})
    tasks = EpisodeTasks([episode.model_copy(update={"trajectory": trajectory})], tmp_path)

    assert np.array_equal(tasks.find("0", PROMPT).start, episode.truth.decode())


def test_no_tasks_and_unknown_tasks_are_refused(pictures: list[LabelledPicture], tmp_path: Path):
    with pytest.raises(InvalidRequest, match="nothing to ask"):
        PictureTasks([], {})
    with pytest.raises(InvalidRequest, match="nothing to ask"):
        EpisodeTasks([], tmp_path)
    with pytest.raises(InvalidRequest, match="do not have"):
        PictureTasks(pictures, {}).find("blobs/p0#moon", "the moon")
    with pytest.raises(InvalidRequest, match="do not have"):
        EpisodeTasks(disc_episodes(tmp_path, ((14, 14),)), tmp_path).find("7", PROMPT)
