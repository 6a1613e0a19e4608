"""The studies folder, in which every file is whole: a full disk or a kill leaves the old one.

MONAI Label copies images and labels over what is there, and writes its index in place. On a full
disk half a label then stands where a good one was, and is trained on; and of half an index the
server does not start again.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore
from monailabel.interfaces.exception import ImageNotFoundException
from watchdog.events import FileSystemEvent


class WholeFiles(LocalDatastore):
    """MONAI Label's folder of studies, written to by renaming finished files."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        handler = getattr(self, "_handler", None)
        if handler is not None:  # it watches for writes in place only
            handler.on_moved = self._on_moved

    def _on_moved(self, event: FileSystemEvent) -> None:
        """Another process has written the index, by renaming; our own writes change nothing."""
        if event.dest_path == self._datastore_config_path:
            self._init_from_datastore_file()

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Keep an image; see `Datastore.add_image`.

        Raises:
            OSError: There is no room, or no permission; what was there is still there.
        """
        own_id, suffix = self._to_id(Path(image_filename).name)
        image_id = image_id or own_id
        info = _told(image_info, name := self._filename(image_id, suffix))
        with FileLock(self._lock_file):
            _copy(Path(image_filename), Path(self._datastore.image_path()) / name)
            known = ImageLabelModel(image=DataModel(info=info, ext=suffix))
            self._datastore.objects[image_id] = known
            self._update_datastore_file(lock=False)
        return image_id

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]
    ) -> str:
        """Keep a label; see `Datastore.save_label`.

        Raises:
            ImageNotFoundException: There is no such image.
            OSError: There is no room, or no permission; what was there is still there.
        """
        _, suffix = self._to_id(Path(label_filename).name)
        folder = Path(self._datastore.label_path(label_tag))
        info = _told(label_info, name := self._filename(image_id, suffix))
        with FileLock(self._lock_file):
            image = self._datastore.objects.get(image_id)
            if image is None:
                raise ImageNotFoundException(f"Image {image_id} not found")
            folder.mkdir(parents=True, exist_ok=True)
            _copy(Path(label_filename), folder / name)
            image.labels[label_tag] = DataModel(info=info, ext=suffix)
            self._update_datastore_file(lock=False)
        return image_id

    def _update_datastore_file(self, lock: bool = True) -> None:
        """Write the index."""
        index = self._datastore.model_dump(exclude={"base_path"})
        text = json.dumps(index, indent=2, default=str)
        place = Path(self._datastore_config_path)
        with FileLock(self._lock_file) if lock else nullcontext():
            with _beside(place) as part:
                part.write_text(text, encoding="utf-8")
            self._config_ts = place.stat().st_mtime


def _told(info: dict[str, Any] | None, name: str) -> dict[str, Any]:
    return {**(info or {}), "ts": int(time.time()), "name": name}


def _copy(source: Path, place: Path) -> None:
    with _beside(place) as part:
        shutil.copyfile(source, part)


@contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """A name in the same folder, whose file takes the place at the end of the block."""
    part = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
