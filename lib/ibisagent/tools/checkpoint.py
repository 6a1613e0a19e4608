"""Reads weights from a file without running what else the file may hold."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ibisagent.errors import ModelNotFound


def read_weights(path: Path) -> dict[str, Any]:
    """State dict in a ``.pth`` file, on the processor.

    Args:
        path: A state dict, or a training checkpoint that holds one under "model".

    Raises:
        ModelNotFound: The file is missing, or is not a file of tensors only.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelNotFound(
            f"There are no weights at '{path}'.", "Download the checkpoint, or correct the path."
        ) from error
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise _unreadable(path) from error
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]
    if not isinstance(state, dict):
        raise _unreadable(path)
    return state


def fill(net: nn.Module, state: dict[str, Any], path: Path) -> None:
    """Give a network its weights, all of them and no others.

    Args:
        net: The network.
        state: From `read_weights`.
        path: Where they were read, for the message.

    Raises:
        ModelNotFound: The weights belong to another network.
    """
    try:
        net.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ModelNotFound(
            f"The weights in '{path}' are not those of the model asked for.",
            "Name the model that the checkpoint was made for, for example vit_h for sam_vit_h.",
        ) from error


def _unreadable(path: Path) -> ModelNotFound:
    return ModelNotFound(
        f"'{path}' is not a file of weights that can be read safely.",
        "Download the checkpoint again; only plain tensors are accepted.",
    )
