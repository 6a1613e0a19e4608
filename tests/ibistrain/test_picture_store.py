from __future__ import annotations

from pathlib import Path

import numpy as np
from harness.disc_episodes import disc_episodes

from ibistrain.picture_store import PictureStore


def test_pictures_are_opened_once_and_alike(tmp_path: Path):
    episodes = disc_episodes(tmp_path, ((14, 14), (30, 40)))
    store, fresh = PictureStore(tmp_path), PictureStore(tmp_path)
    store.fill(episodes)
    expected = [fresh.rgb(episode) for episode in episodes]
    for file in tmp_path.glob("*.png"):
        file.unlink()

    for episode, picture in zip(episodes, expected, strict=True):
        assert np.array_equal(store.rgb(episode), picture)
        assert picture.shape == (56, 56, 3)


def test_beyond_the_budget_pictures_are_opened_each_time(tmp_path: Path):
    episodes = disc_episodes(tmp_path, ((14, 14), (30, 40)))
    store = PictureStore(tmp_path, max_bytes=1)
    store.fill(episodes)

    first = store.rgb(episodes[1])

    assert np.array_equal(store.rgb(episodes[1]), first)
