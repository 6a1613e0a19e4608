"""What a run has found out about its corpus, on disk, for a run that is continued.

A file says of which corpus it is, and with which settings it was made: regions and poses of other
pictures would be learnt without a word, and wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ibisagent.errors import InvalidRequest
from ibistrain.batches.gallery import Gallery

_CORPUS, _SETTINGS = "corpus", "settings"


def kept_settings(boxes: int, seed: int) -> str:
    """The options of a run that decide what it keeps, in words."""
    return f"--boxes {boxes} --seed {seed}"


def write_kept(path: Path, parts: Mapping[str, Tensor], gallery: Gallery, settings: str) -> None:
    """Write tensors as a whole or not at all.

    Args:
        path: The file.
        parts: The tensors.
        gallery: The corpus of the run.
        settings: What else decided the tensors, in words.
    """
    part = path.with_suffix(".part")
    tensors = {name: value.cpu().contiguous() for name, value in parts.items()}
    save_file(tensors, part, metadata={_CORPUS: gallery.fingerprint, _SETTINGS: settings})
    part.replace(path)


def read_kept(
    path: Path, names: Sequence[str], gallery: Gallery, settings: str
) -> dict[str, Tensor]:
    """What `write_kept` wrote, on the gallery's device.

    Args:
        path: The file.
        names: Of the tensors that it must have.
        gallery: The corpus of the run.
        settings: As they were written.

    Raises:
        InvalidRequest: The file is damaged, of another corpus, or made with other settings.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            said = opened.metadata() or {}
            parts = {name: opened.get_tensor(name).to(gallery.device) for name in names}
    except (OSError, SafetensorError) as error:
        raise InvalidRequest(
            f"What the run has kept in {path.name} is damaged.",
            f"Remove '{path}'; it is made anew.",
        ) from error
    if said.get(_CORPUS) != gallery.fingerprint:
        raise InvalidRequest(
            f"What the run has kept in {path.name} is of other pictures than these.",
            f"Go on with the same data, begin in a new folder, or remove '{path}'.",
        )
    if said.get(_SETTINGS) != settings:
        raise InvalidRequest(
            f"What the run has kept in {path.name} was made with "
            f"{said.get(_SETTINGS, 'settings that it does not name')}, not with {settings}.",
            f"Go on with the same options, begin in a new folder, or remove '{path}'.",
        )
    return parts
