"""Images that were read lately, so that a click does not wait for the disk."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, RLock

import SimpleITK as sitk

from ibisagent.errors import UnreadableImage
from ibisagent.slices import Plane, SliceView
from ibisagent.volume import read_image

_Key = tuple[str, int, int]


@dataclass(eq=False)
class OpenedImage:
    """An image in memory, and its slices in the planes that were asked for.

    Attributes:
        image: As `ibisagent.volume.read_image` returns it; not to be changed.
    """

    image: sitk.Image
    _views: dict[tuple[str, str], SliceView] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def n_bytes(self) -> int:
        """Bytes of its voxels."""
        voxels, components = (
            self.image.GetNumberOfPixels(),
            self.image.GetNumberOfComponentsPerPixel(),
        )
        return int(voxels * components * self.image.GetSizeOfPixelComponent())

    def view(self, plane: Plane, window: str) -> SliceView:
        """The image in a plane.

        Raises:
            InvalidRequest: The window is unknown, or the plane is not one of this image.
        """
        with self._lock:  # finding a window takes a second on a large volume
            key = (plane.value, window)
            if key not in self._views:
                self._views[key] = SliceView(self.image, plane, window)
            return self._views[key]


class ImageShelf:
    """The images used last, within a budget of bytes. Safe to share between threads.

    Args:
        max_bytes: Budget. The newest image is kept even if it alone is larger.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._kept: OrderedDict[_Key, OpenedImage] = OrderedDict()
        self._reading: dict[_Key, RLock] = {}

    @property
    def n_bytes(self) -> int:
        """Bytes that the kept images occupy."""
        with self._lock:
            return sum(opened.n_bytes for opened in self._kept.values())

    def open(self, path: Path) -> OpenedImage:
        """An image, read unless it is kept and its file is unchanged.

        Raises:
            UnreadableImage: The file is gone; and whatever `read_image` raises.
        """
        key = _key(path)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept
            reading = self._reading.setdefault(key, RLock())
        with reading:  # those who want the same image wait for one reading
            with self._lock:
                if key in self._kept:
                    return self._kept[key]
            try:
                opened = OpenedImage(read_image(path))
            finally:
                with self._lock:
                    self._reading.pop(key, None)
            self._keep(key, opened)
            return opened

    def _keep(self, key: _Key, opened: OpenedImage) -> None:
        with self._lock:
            self._kept[key] = opened
            occupied = sum(each.n_bytes for each in self._kept.values())
            while occupied > self._max_bytes and len(self._kept) > 1:
                occupied -= self._kept.popitem(last=False)[1].n_bytes


def _key(path: Path) -> _Key:
    try:
        facts = path.stat()
    except OSError as error:
        raise UnreadableImage(
            f"The image {path.name} is gone.", "Put it back, or choose another one."
        ) from error
    return str(path), facts.st_mtime_ns, facts.st_size
