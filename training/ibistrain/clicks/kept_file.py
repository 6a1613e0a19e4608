"""What a run has found out about its corpus, on disk, for a run that is continued.

A file says of which corpus it is: regions and poses of other pictures would be learnt without a
word, and wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ibisagent.errors import InvalidRequest
from ibistrain.batches.gallery import Gallery

_CORPUS = "corpus"


def write_kept(path: Path, parts: Mapping[str, Tensor], gallery: Gallery) -> None:
    """Write tensors as a whole or not at all."""
    part = path.with_suffix(".part")
    tensors = {name: value.cpu().contiguous() for name, value in parts.items()}
    save_file(tensors, part, metadata={_CORPUS: gallery.fingerprint})
    part.replace(path)


def read_kept(path: Path, names: Sequence[str], gallery: Gallery) -> dict[str, Tensor]:
    """What `write_kept` wrote, on the gallery's device.

    Args:
        path: The file.
        names: Of the tensors that it must have.
        gallery: The corpus of the run.

    Raises:
        InvalidRequest: The file is damaged, or of another corpus.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            corpus = (opened.metadata() or {}).get(_CORPUS)
            parts = {name: opened.get_tensor(name).to(gallery.device) for name in names}
    except (OSError, SafetensorError) as error:
        raise InvalidRequest(
            f"What the run has kept in {path.name} is damaged.",
            f"Remove '{path}'; it is made anew.",
        ) from error
    if corpus != gallery.fingerprint:
        raise InvalidRequest(
            f"What the run has kept in {path.name} is of other pictures than these.",
            f"Go on with the same data, begin in a new folder, or remove '{path}'.",
        )
    return parts
