"""Pictures of simulated episodes, kept in memory: training asks for them in no order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ibisagent.tools.base import RGB
from ibistrain.episode_pictures import EpisodePictures
from ibistrain.episode_record import EpisodeRecord

DEFAULT_BYTES = 2 * 2**30
"""Room for some 8000 grey pictures of 512 x 512 pixels."""

Key = tuple[str, str, str, int]


class PictureStore:
    """Opens pictures once, as far as the budget reaches; the others are opened each time.

    Args:
        root: Folder that the episodes' image paths are relative to.
        max_bytes: Budget.
    """

    def __init__(self, root: Path, max_bytes: int = DEFAULT_BYTES) -> None:
        self._opener = EpisodePictures(root)
        self._left = max_bytes
        self._kept: dict[Key, NDArray[np.uint8]] = {}

    def fill(self, episodes: Iterable[EpisodeRecord]) -> None:
        """Open the pictures of episodes ahead, image by image.

        Raises:
            UnreadableImage: An image is gone or damaged.
            SliceOutOfRange: An image has no such slice.
        """
        for episode in sorted(episodes, key=_key):
            if self._left <= 0:
                return
            self.rgb(episode)

    def rgb(self, episode: EpisodeRecord) -> RGB:
        """The plain picture, axes (row, column, channel), uint8; see `EpisodePictures.rgb`."""
        key = _key(episode)
        if key in self._kept:
            kept = self._kept[key]
            return np.repeat(kept[..., None], 3, axis=2) if kept.ndim == 2 else kept
        rgb = self._opener.rgb(episode)
        if self._left > 0:
            grey = bool((rgb == rgb[..., :1]).all())
            self._kept[key] = rgb[..., 0].copy() if grey else rgb
            self._left -= self._kept[key].nbytes
        return rgb


def _key(episode: EpisodeRecord) -> Key:
    where = episode.trajectory.slice
    return episode.image, where.plane, where.window, where.index
