"""Where a checkpoint comes from: a folder, or a repository on the model hub."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from ibisagent.errors import ModelNotFound

logger = logging.getLogger(__name__)

ADAPTER_FILE = "adapter_config.json"
"""A checkpoint folder that has it is a LoRA adapter."""

HUB_PREFIX = "hf:"
_HUB = re.compile(
    r"(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?:#(?P<subfolder>[\w./-]+))?"
)
_WANTED = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.yaml")
"""What a checkpoint is made of. Pickled weights are not fetched, as loading them runs code."""

FORMS = "a checkpoint folder, or a hub name: owner/model@revision#sub-folder"


@dataclass(frozen=True)
class CheckpointSource:
    """A checkpoint by name, not yet loaded.

    Attributes:
        name: A folder, or ``owner/model`` on the hub.
        revision: Commit, tag or branch on the hub; empty for the newest, or for a folder.
        subfolder: Folder inside the hub's repository; empty for its root, or for a folder.
        on_hub: Whether `name` is a hub name.
    """

    name: str
    revision: str = ""
    subfolder: str = ""
    on_hub: bool = False

    @classmethod
    def parse(cls, spec: str) -> CheckpointSource:
        """Read ``FOLDER``, ``owner/model@revision#sub-folder``, or the latter after ``hf:``.

        A folder of that name goes before the hub, unless ``hf:`` says otherwise.

        Raises:
            ModelNotFound: It is neither a folder nor formed like a hub name.
        """
        named = spec.removeprefix(HUB_PREFIX)
        if spec and named == spec and Path(spec).is_dir():
            return cls(spec)
        match = _HUB.fullmatch(named)
        if match is None or ".." in named:
            raise ModelNotFound(f"There is no checkpoint at {spec}.", f"Give {FORMS}.")
        return cls(match["name"], match["revision"] or "", match["subfolder"] or "", on_hub=True)

    def folder(self) -> Path:
        """Folder with the checkpoint's files, fetched from the hub where it is not here yet.

        Raises:
            ModelNotFound: The hub has no such thing, or cannot be reached.
        """
        if not self.on_hub:
            return Path(self.name)
        if not self.revision:
            logger.warning("%s names no revision; the newest may change results", self.name)
        folder = self._fetch() / self.subfolder
        if not folder.is_dir():
            raise ModelNotFound(
                f"The repository {self.name} has no folder {self.subfolder!r} with weights.",
                "Correct the part behind '#'.",
            )
        return folder

    def label(self, folder: Path) -> str:
        """Identity for trajectories and logs, without the machine's own folders.

        Args:
            folder: As `folder` returned it; the hub's cache names snapshots by their commit.
        """
        if not self.on_hub:
            return f"local:{folder.resolve().name}"
        snapshot = folder.parents[len(Path(self.subfolder).parts) - 1] if self.subfolder else folder
        tail = f"#{self.subfolder}" if self.subfolder else ""
        return f"{HUB_PREFIX}{self.name}@{snapshot.name[:12]}{tail}"

    def _fetch(self) -> Path:
        import httpx2  # what the hub's library speaks HTTP with; both load slowly
        from huggingface_hub import snapshot_download

        inside = f"{self.subfolder}/" if self.subfolder else ""
        try:
            path = snapshot_download(
                self.name,
                revision=self.revision or None,
                allow_patterns=[inside + pattern for pattern in _WANTED],
                ignore_patterns=[f"{inside}*/*"],
            )
        except (OSError, ValueError, httpx2.HTTPError) as error:  # the hub's own are among these
            raise ModelNotFound(
                f"The checkpoint {self.name} could not be had from the hub: "
                f"{str(error).strip().splitlines()[0]}",
                "Correct name and revision, go online, log in with `hf auth login` if it is "
                "gated, or give the folder of a copy.",
            ) from error
        return Path(path)
