"""Episodes on disk: what goes in comes out, and what is damaged is said."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from harness.simulated_episode import episode
from pydantic import ValidationError

from ibisagent.errors import InvalidTrajectory
from ibisagent.rle import Rle
from ibistrain.episode_record import (
    EpisodeRecord,
    parquet_schema,
    read_episodes,
    shard_path,
    write_shards,
)


@pytest.fixture(scope="module")
def episodes(pictures) -> list[EpisodeRecord]:
    return [episode(picture, seed) for seed, picture in enumerate(pictures)]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_what_is_written_is_read(episodes, tmp_path, form):
    files = write_shards(iter(episodes), tmp_path / "new" / "folder", form, shard_size=4)
    assert files == [shard_path(tmp_path / "new" / "folder", n, form) for n in (0, 1)]
    assert list(read_episodes(files[0].parent)) == episodes
    assert list(read_episodes(files[1])) == episodes[4:]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_equal_episodes_are_equal_bytes(episodes, tmp_path, form):
    first, second = (write_shards(episodes, tmp_path / name, form)[0] for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_parquet_has_the_stated_columns(episodes, tmp_path):
    (file,) = write_shards(episodes, tmp_path, "parquet")
    assert pq.read_schema(file).equals(parquet_schema())


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_cut_shard_is_named(episodes, tmp_path, form):
    (file,) = write_shards(episodes, tmp_path, form)
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(InvalidTrajectory, match=rf"episodes-00000.{form} is not a readable shard"):
        list(read_episodes(tmp_path))


def test_a_folder_without_shards_is_told_so(tmp_path):
    with pytest.raises(InvalidTrajectory, match="no simulated episodes"):
        list(read_episodes(tmp_path))


def test_a_record_of_another_kind_is_told_so(episodes, tmp_path):
    (file,) = write_shards(episodes, tmp_path)
    file.write_text(file.read_text().replace('"kind":"plain"', '"kind":"plane"', 1))
    with pytest.raises(InvalidTrajectory, match="episode 1: kind"):
        list(read_episodes(tmp_path))


@pytest.mark.parametrize("field", ["learn", "iou"])
def test_a_step_without_its_facts_is_refused(episodes, field):
    short = {**episodes[0].model_dump(), field: getattr(episodes[0], field)[:-1]}
    with pytest.raises(ValidationError, match="one entry a step"):
        EpisodeRecord.model_validate(short)


def test_a_truth_of_another_size_is_refused(episodes):
    other = {**episodes[0].model_dump(), "truth": Rle(size=(2, 2), counts="4")}
    with pytest.raises(ValidationError, match="height and width"):
        EpisodeRecord.model_validate(other)
