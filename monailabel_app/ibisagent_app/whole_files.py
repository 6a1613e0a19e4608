"""The studies folder, in which every file is whole: a full disk or a kill leaves the old one.

MONAI Label copies images and labels over what is there, and writes its index in place. On a full
disk half a label then stands where a good one was, and is trained on; and of half an index the
server does not start again. Nor does it share its list of studies between threads: an upload while
the folder is read breaks the thread that watches the folder, and the server sees no new study
until it is started anew.
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import (
    DataModel,
    ImageLabelModel,
    LocalDatastore,
    LocalDatastoreModel,
)
from monailabel.interfaces.exception import ImageNotFoundException
from watchdog.events import FileSystemEvent

logger = logging.getLogger(__name__)


class WholeFiles(LocalDatastore):
    """MONAI Label's folder of studies, written to by renaming finished files.

    One thread of one process changes it at a time; all others read the state before or after.
    """

    _datastore: LocalDatastoreModel
    _config_ts: object

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        handler = getattr(self, "_handler", None)
        if handler is not None:  # it watches for writes in place only
            handler.on_moved = self._on_moved

    @cached_property
    def _alone(self) -> FileLock:
        """Held by whoever changes the folder; a thread that holds it may take it again."""
        return FileLock(self._lock_file)

    @contextmanager
    def _changed(self) -> Iterator[LocalDatastore]:
        """A copy to be changed, which takes the place of this state at the end of the block."""
        with self._alone:
            self._init_from_datastore_file()
            draft = copy(self)
            draft._datastore = self._datastore.model_copy(deep=True)
            yield draft
            self._datastore, self._config_ts = draft._datastore, draft._config_ts

    def _on_any_event(self, event: FileSystemEvent) -> None:
        try:
            self.refresh()
        except OSError:  # it would end the thread that watches, and no study would be seen again
            logger.exception("The studies folder could not be read after: %s", event)

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
        with self._changed() as draft:
            _copy(Path(image_filename), Path(self._datastore.image_path()) / name)
            known = ImageLabelModel(image=DataModel(info=info, ext=suffix))
            draft._datastore.objects[image_id] = known
            draft._update_datastore_file()
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
        with self._changed() as draft:
            image = draft._datastore.objects.get(image_id)
            if image is None:
                raise ImageNotFoundException(f"Image {image_id} not found")
            folder.mkdir(parents=True, exist_ok=True)
            _copy(Path(label_filename), folder / name)
            image.labels[label_tag] = DataModel(info=info, ext=suffix)
            draft._update_datastore_file()
        return image_id

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add to what is kept of an image; see `Datastore.update_image_info`."""
        with self._changed() as draft:
            LocalDatastore.update_image_info(draft, image_id, info)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to what is kept of a label; see `Datastore.update_label_info`."""
        with self._changed() as draft:
            LocalDatastore.update_label_info(draft, label_id, label_tag, info)

    def _reconcile_datastore(self) -> None:
        """Take in what has been put into the folder or removed from it by hand."""
        with self._changed() as draft:
            LocalDatastore._reconcile_datastore(draft)

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        """Read the index, if another process has written it since."""
        place = Path(self._datastore_config_path)
        with self._alone:
            if not place.exists() or self._config_ts == (written := _version(place)):
                return
            try:
                index = LocalDatastoreModel.model_validate_json(place.read_text(encoding="utf-8"))
            except ValueError:
                logger.exception("The index of the studies is unreadable: %s", place)
                if throw_exception:
                    raise
                return
            index.base_path = self._datastore_path
            self._datastore, self._config_ts = index, written

    def _update_datastore_file(self, lock: bool = True) -> None:
        """Write the index; `lock` is the stock one's, and this one's is held again and again."""
        index = self._datastore.model_dump(exclude={"base_path"})
        text = json.dumps(index, indent=2, default=str)
        place = Path(self._datastore_config_path)
        with self._alone:
            with _beside(place) as part:
                part.write_text(text, encoding="utf-8")
            self._config_ts = _version(place)


def _version(place: Path) -> tuple[int, int]:
    """Of a file that is only ever replaced; two writes within a tick of the clock differ."""
    state = place.stat()
    return state.st_mtime_ns, state.st_ino


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
