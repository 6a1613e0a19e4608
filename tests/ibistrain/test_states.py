"""States for the embedded trainer, out of shards and of the first edition's files."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from harness.simulated_episode import episode
from PIL import Image

from ibisagent.errors import InvalidTrajectory
from ibisagent.rle import Rle
from ibistrain.episode_record import EpisodeRecord, write_shards
from ibistrain.labelled_picture import LabelledPicture
from ibistrain.states import read_states, states_of, states_of_episodes


@pytest.fixture(scope="module")
def corpus(pictures) -> dict[str, LabelledPicture]:
    """The pictures under the names that a corpus gives them."""
    renamed = [dataclasses.replace(p, name=f"{p.name}/picture/0") for p in pictures]
    return {picture.name: picture for picture in renamed}


@pytest.fixture(scope="module")
def episodes(pictures) -> list[EpisodeRecord]:
    return [episode(picture, seed) for seed, picture in enumerate(pictures)]


def test_states_are_the_masks_on_the_way(corpus, episodes):
    for one in episodes:
        masks = [step.mask.decode() for step in one.trajectory.steps if step.carried_out]
        states = states_of_episodes([one], corpus)
        assert len(states) == len(masks) > 0
        assert all(np.array_equal(s.mask, m) for s, m in zip(states, masks, strict=True))
        assert {state.target for state in states} == {"disc"}
        assert states[-1].settled  # nothing came after it that could have helped


def test_a_policys_vain_clicks_settle_only_what_is_fairly_good(corpus, episodes):
    for one in episodes:
        truth = one.truth.decode()
        rows = np.flatnonzero(truth.any(1))
        for share, settled in ((0.7, True), (0.45, False)):
            part = truth.copy()
            part[rows[int(share * len(rows))] :] = False
            (step, *_) = [step for step in one.trajectory.steps if step.carried_out]
            vain = step.model_copy(update={"mask": Rle.encode(part)})
            watched = one.model_copy(
                update={
                    "learn": [False] * 2,
                    "iou": [0.0] * 3,
                    "trajectory": one.trajectory.model_copy(update={"steps": [vain, vain]}),
                }
            )
            assert {s.settled for s in states_of_episodes([watched], corpus)} == {settled}


def test_the_users_own_mask_is_a_state(corpus, episodes):
    one = episodes[0]
    block = np.zeros(one.truth.decode().shape, bool)
    block[2:9, 3:12] = True
    begun = one.trajectory.model_copy(update={"start": Rle.encode(block)})
    first = states_of_episodes([one.model_copy(update={"trajectory": begun})], corpus)[0]
    assert np.array_equal(first.mask, block)


def test_masks_follow_a_picture_that_was_made_smaller(corpus, episodes):
    """The corpus keeps small pictures; episodes are played on whole ones."""
    one = episodes[0]
    picture = corpus["p0/picture/0"]
    small = np.asarray(Image.fromarray(picture.labels).resize((60, 50), Image.Resampling.NEAREST))
    shrunk = dataclasses.replace(picture, labels=small)
    for state in states_of_episodes([one], {shrunk.name: shrunk}):
        whole = next(s for s in states_of_episodes([one], corpus) if s.mask.any())
        assert state.mask.shape == (50, 60)
        assert state.mask.mean() == pytest.approx(whole.mask.mean(), rel=0.15)
        break


def test_other_pictures_are_passed_over(corpus, episodes):
    elsewhere = [e.model_copy(update={"set_name": "other"}) for e in episodes]
    unknown = [e.model_copy(update={"target": "moon"}) for e in episodes]
    assert states_of_episodes(elsewhere + unknown, corpus) == []
    assert states_of_episodes(episodes, {}) == []


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_shards_are_read(corpus, episodes, tmp_path, form):
    (file,) = write_shards(episodes, tmp_path, form)
    wanted = len(states_of_episodes(episodes, corpus))
    assert len(read_states(tmp_path, corpus)) == len(read_states(file, corpus)) == wanted


def test_files_of_the_first_edition_are_read(pictures, episodes, tmp_path):
    """One trajectory a line; its image is the picture's name, its prompt the target."""
    by_name = {picture.name: picture for picture in pictures}
    old = []
    for one, picture in zip(episodes, pictures, strict=True):
        where = one.trajectory.slice.model_copy(update={"image": picture.name})
        old.append(one.trajectory.model_copy(update={"slice": where}))
    file = tmp_path / "episodes.jsonl"
    file.write_text("".join(trajectory.model_dump_json() + "\n" for trajectory in old))
    assert len(read_states(file, by_name)) == len(states_of(old, by_name)) > 0
    assert states_of(old, {}) == []


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(InvalidTrajectory, match="no simulated episodes"):
        read_states(tmp_path, {})
