"""Released models: numbered folders, and one small file that says which is in use.

::

    model/
      current.json          which version is in use, and which ones were before it
      versions/0001/        weights, configuration, tokenizer, prompts, README.md, figures.json
      versions/0002/

A version appears whole or not at all, and is never changed again. It comes into use by the
replacement of `current.json`, so that whoever reads it sees the old model or the new one. A kill
at any moment leaves the old one in use, and at worst a folder ``.new-*``, which is not listed and
is swept away by a later release.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ibisagent.errors import InvalidRequest, ModelNotFound, OutputNotWritable
from ibisagent.output import make_folder
from ibistrain.checkpoint_check import check_checkpoint, is_part_of_release

logger = logging.getLogger(__name__)

POINTER = "current.json"
CARD = "README.md"
FIGURES = "figures.json"
_VERSIONS = "versions"
_UNFINISHED = ".new-"
_STALE_SECONDS = 24 * 3600
"""Age from which an unfinished folder cannot belong to a release that is still under way."""


class Pointer(BaseModel):
    """Content of `current.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["ibisagent-release/1"] = "ibisagent-release/1"
    version: str = Field(pattern=r"^\d{4,}$", description="Folder name of the version in use.")
    earlier: tuple[str, ...] = Field(
        default=(), description="Versions in use before it, oldest first; rollback takes the last."
    )


class Releases:
    """The versions under one folder. Several processes may hold one; reading is cheap.

    Args:
        root: The folder; made by the first release.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stamp: tuple[int, int, int] | None = None
        self._current: Path | None = None

    def current(self) -> Path | None:
        """Folder of the version in use; None if nothing was released. Costs one `stat`.

        Raises:
            ModelNotFound: The pointer is damaged, or names a version that is gone.
        """
        file = self._root / POINTER
        try:
            seen = file.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._stamp, self._current = None, None
            return None
        # A replaced file is another inode, so two releases within one tick are told apart.
        stamp = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
        if stamp != self._stamp:
            self._current = self._folder(self._pointer().version)
            self._stamp = stamp
        return self._current

    def versions(self) -> list[Path]:
        """Folders of all versions, oldest first."""
        folder = self._root / _VERSIONS
        found = folder.iterdir() if folder.is_dir() else iter(())
        return sorted((p for p in found if p.name.isdecimal()), key=lambda path: int(path.name))

    def release(self, checkpoint: Path, card: str, figures: Mapping[str, Any]) -> Path:
        """Copy a checkpoint into a new version and take it into use.

        Args:
            checkpoint: Folder with safetensors, configuration, tokenizer, processor and prompts.
                What only a trainer needs stays behind.
            card: The model card, Markdown; see `ibistrain.release_card`.
            figures: What was measured, for JSON.

        Returns:
            The version's folder.

        Raises:
            ModelNotFound: The checkpoint is incomplete or its weights are pickled.
            OutputNotWritable: The folder cannot be written to, or the disk is full.
            InvalidProfile: The checkpoint's prompts are not valid.
        """
        check_checkpoint(checkpoint)
        folder = self._root / _VERSIONS
        make_folder(folder)
        _sweep(folder)
        new = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
        try:
            _fill(new, checkpoint, card, figures)
            version = self._take_number(new)
            self._point_to(version.name, self._history())
        except OSError as error:
            raise OutputNotWritable(
                f"The model could not be released to {self._root}: {error.strerror or error}.",
                "Free some space, or give a folder that may be written to; the model in use stays.",
            ) from error
        finally:
            shutil.rmtree(new, ignore_errors=True)
        logger.info("version %s is in use", version.name)
        return version

    def rollback(self) -> Path:
        """Take the version into use that was in use before the present one.

        Returns:
            Its folder. The version that was left stays on disk.

        Raises:
            InvalidRequest: There is no earlier version.
            ModelNotFound: It is gone from the disk.
            OutputNotWritable: The pointer cannot be written.
        """
        earlier = self._pointer().earlier if (self._root / POINTER).is_file() else ()
        if not earlier:
            raise InvalidRequest(
                f"There is no earlier version in {self._root} to go back to.",
                f"To use the configured policy again, remove {POINTER} from that folder.",
            )
        folder = self._folder(earlier[-1])
        self._point_to(earlier[-1], earlier[:-1])
        logger.info("version %s is in use again", earlier[-1])
        return folder

    def _history(self) -> tuple[str, ...]:
        """What `earlier` must be for a version that comes now."""
        if not (self._root / POINTER).is_file():
            return ()
        pointer = self._pointer()
        return (*pointer.earlier, pointer.version)

    def _pointer(self) -> Pointer:
        try:
            return Pointer.model_validate_json((self._root / POINTER).read_bytes())
        except (OSError, ValidationError) as error:
            raise ModelNotFound(
                f"{POINTER} in {self._root} does not say which model is in use.",
                "Remove the file to use the configured policy, or release again.",
            ) from error

    def _folder(self, version: str) -> Path:
        folder = self._root / _VERSIONS / version
        if not (folder / "config.json").is_file():
            raise ModelNotFound(
                f"Version {version} is not complete in {self._root}.",
                f"Put its folder back, or remove {POINTER} to use the configured policy.",
            )
        return folder

    def _take_number(self, new: Path) -> Path:
        """Give a finished folder the next free number."""
        number = max((int(path.name) for path in self.versions()), default=0) + 1
        while True:
            version = self._root / _VERSIONS / f"{number:04d}"
            try:
                # Refused by the system where a version of that number has come in the meantime.
                new.rename(version)
            except OSError:
                if not version.exists():
                    raise
                number += 1
            else:
                _sync(version.parent)
                return version

    def _point_to(self, version: str, earlier: tuple[str, ...]) -> None:
        text = Pointer(version=version, earlier=earlier).model_dump_json(indent=1)
        handle, name = tempfile.mkstemp(prefix=f".{POINTER}-", dir=self._root)
        partial = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            partial.chmod(0o644)
            partial.replace(self._root / POINTER)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OutputNotWritable(
                f"{POINTER} could not be written to {self._root}: {error.strerror}.",
                "Free some space, or open the folder for writing; the model in use stays.",
            ) from error
        _sync(self._root)


def _fill(new: Path, checkpoint: Path, card: str, figures: Mapping[str, Any]) -> None:
    """Write all files of a version and bring them to the disk."""
    for file in sorted(checkpoint.iterdir()):
        if is_part_of_release(file):
            shutil.copyfile(file, new / file.name)
    (new / CARD).write_text(card, encoding="utf-8")
    (new / FIGURES).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    for file in new.iterdir():
        file.chmod(0o644)
        _sync(file)
    new.chmod(0o755)
    _sync(new)


def _sync(path: Path) -> None:
    """Bring a file, or a folder's list of names, to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders, and keeps their lists by itself
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove what killed releases have left."""
    for path in folder.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):  # another release may be sweeping, too
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
