"""Reads weights from a file without running what else the file may hold."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import nn

from ibisagent.errors import ModelNotFound


def load_weights(net: nn.Module, path: Path) -> None:
    """Fill a network with the weights of a ``.pth`` file, all of them and no others.

    Args:
        net: The network, on the processor.
        path: A state dict, or a training checkpoint that holds one under "model".

    Raises:
        ModelNotFound: The file is missing, is no file of tensors, or does not fit the network.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelNotFound(
            f"There are no weights at '{path}'.", "Download the checkpoint, or correct the path."
        ) from error
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise ModelNotFound(
            f"'{path}' is not a file of weights that can be read safely.",
            "Download the checkpoint again; only plain tensors are accepted.",
        ) from error
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]
    try:
        net.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ModelNotFound(
            f"The weights in '{path}' are not those of the model asked for.",
            "Name the model that the checkpoint was made for, for example vit_h for sam_vit_h.",
        ) from error
