"""The read-outs of a checkpoint on disk, so that its training can go on, on other targets too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ibisagent.errors import ModelNotFound
from ibistrain.grounding import GroundingHeads

READ_OUTS_FILE = "grounding_heads.safetensors"
_TARGETS = "targets"


def write_read_outs(
    heads: GroundingHeads, folder: Path, dtype: torch.dtype = torch.float32
) -> None:
    """Write read-outs beside the weights, with the names of their targets."""
    state = {name: value.to(dtype).contiguous() for name, value in heads.state_dict().items()}
    save_file(state, folder / READ_OUTS_FILE, metadata={_TARGETS: json.dumps(heads.targets)})


def load_read_outs(folder: Path) -> GroundingHeads | None:
    """The read-outs beside a checkpoint, float32; None if there are none.

    Raises:
        ModelNotFound: They are damaged, or do not say what they are of.
    """
    file = folder / READ_OUTS_FILE
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            targets = json.loads(opened.metadata()[_TARGETS])
            state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        heads = GroundingHeads(state["place.weight"].shape[1], targets)
        heads.load_state_dict(state)
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise ModelNotFound(
            f"The read-outs {folder.name}/{READ_OUTS_FILE} are damaged, or of an earlier version.",
            "Remove the file: read-outs are learnt anew then; or train again.",
        ) from error
    return heads


def start_read_outs(folder: Path, width: int, targets: Sequence[str]) -> GroundingHeads:
    """Read-outs to train: those of a checkpoint as far as it brings them, else untrained ones.

    Args:
        folder: The checkpoint.
        width: Of the vision tokens as the text model receives them.
        targets: What is to be read out; what the checkpoint does not know begins untrained.

    Raises:
        ModelNotFound: Those of the checkpoint are damaged, or of another model.
    """
    heads, known = GroundingHeads(width, targets), load_read_outs(folder)
    if known is None:
        return heads
    own = known.place.in_features
    if own != width:
        raise ModelNotFound(
            f"The read-outs {folder.name}/{READ_OUTS_FILE} are for tokens {own} wide, not {width}.",
            "They belong to another checkpoint; remove the file.",
        )
    heads.adopt(known)
    return heads
