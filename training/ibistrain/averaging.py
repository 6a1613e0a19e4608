"""The mean of several checkpoints' weights.

Runs that begin with the same weights and see other batches end near each other, and their mean is
often better than each of them (Wortsman et al., Model soups, arXiv 2203.05482). On a processor that
is how two cores train one model without talking to each other.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ibisagent.errors import InvalidRequest, ModelNotFound
from ibisagent.output import make_folder
from ibisagent.prompts import PROFILE_FILE
from ibistrain.embedded import HEADS_FILE
from ibistrain.start_model import load_start


def average(checkpoints: Sequence[Path], out: Path) -> None:
    """Write a checkpoint with the mean of the weights, in float32.

    Everything else is the first one's. Read-outs of the embedded policy's training are averaged too
    if all checkpoints bring them, so that it can go on.

    Args:
        checkpoints: At least two of one architecture, and with the same tokens.
        out: Folder of the result; made if missing.

    Raises:
        InvalidRequest: There are fewer than two, or they do not fit each other.
        ModelNotFound: One of them is incomplete.
        OutputNotWritable: The folder cannot be made.
    """
    if len(checkpoints) < 2:
        raise InvalidRequest("There is nothing to average.", "Name at least two checkpoints.")
    first = load_start(checkpoints[0])
    others = (load_start(folder).model.state_dict() for folder in checkpoints[1:])
    first.model.load_state_dict(_mean([first.model.state_dict(), *others]))
    heads = [folder / HEADS_FILE for folder in checkpoints]
    kept = all(file.is_file() for file in heads)
    mean_heads = _mean([_read_outs(file) for file in heads]) if kept else {}
    make_folder(out)
    first.model.save_pretrained(out)
    first.processor.save_pretrained(out)
    if (checkpoints[0] / PROFILE_FILE).is_file():
        shutil.copyfile(checkpoints[0] / PROFILE_FILE, out / PROFILE_FILE)
    if mean_heads:
        save_file(mean_heads, out / HEADS_FILE)


def _mean(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    sizes = [{name: value.shape for name, value in state.items()} for state in states]
    if any(other != sizes[0] for other in sizes[1:]):
        raise InvalidRequest(
            "The checkpoints have other weights than each other.",
            "Average runs that began with the same checkpoint.",
        )
    return {
        name: torch.stack([state[name].float() for state in states]).mean(0).to(value.dtype)
        for name, value in states[0].items()
    }


def _read_outs(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelNotFound(
            f"The read-outs at '{file}' are damaged.", "Remove the file, or train again."
        ) from error
