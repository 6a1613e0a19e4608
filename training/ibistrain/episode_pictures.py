"""The pictures of simulated episodes, opened as inference opens them."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from ibisagent.slices import SliceView
from ibisagent.tools.base import RGB
from ibisagent.volume import read_image
from ibistrain.episode_record import EpisodeRecord

_KEPT = 4
"""Images in memory. Shards are sorted by image, so one would do for reading in order."""


class EpisodePictures:
    """Opens pictures; the images used last are kept.

    Args:
        root: Folder that the episodes' image paths are relative to.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._views: OrderedDict[tuple[str, str, str], SliceView] = OrderedDict()

    def rgb(self, episode: EpisodeRecord) -> RGB:
        """The plain picture, axes (row, column, channel), uint8.

        Raises:
            UnreadableImage: The image is gone or damaged.
            SliceOutOfRange: The image has no such slice.
        """
        where = episode.trajectory.slice
        return self._view(episode.image, where.plane, where.window).rgb(where.index)

    def _view(self, image: str, plane: str, window: str) -> SliceView:
        key = (image, plane, window)
        if key not in self._views:
            self._views[key] = SliceView(read_image(self._root / image), plane, window)
            if len(self._views) > _KEPT:
                self._views.popitem(last=False)
        self._views.move_to_end(key)
        return self._views[key]
