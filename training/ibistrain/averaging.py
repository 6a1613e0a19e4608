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
from safetensors.torch import load_file
from torch import Tensor

from ibisagent.errors import InvalidRequest, ModelNotFound
from ibisagent.output import make_folder
from ibisagent.prompts import PROFILE_FILE
from ibisagent.tools.click_weights import tunes_encoder, write_click_weights
from ibistrain.grounding import GroundingHeads
from ibistrain.read_outs import load_read_outs, write_read_outs
from ibistrain.start_model import StartModel, load_start


def average(checkpoints: Sequence[Path], out: Path) -> None:
    """Write a checkpoint with the mean of the weights, in float32.

    Everything else is the first one's. Read-outs of the embedded policy's training are averaged too
    if all checkpoints bring them, so that it can go on.

    Args:
        checkpoints: At least two of one architecture, with the same tokens and prompts.
        out: Folder of the result; made if missing.

    Raises:
        InvalidRequest: There are fewer than two, or they do not fit each other.
        ModelNotFound: One of them is incomplete, or its read-outs are damaged.
        OutputNotWritable: The folder cannot be made.
    """
    if len(checkpoints) < 2:
        raise InvalidRequest("There is nothing to average.", "Name at least two checkpoints.")
    first, *others = [load_start(folder) for folder in checkpoints]
    for other in others:
        _require_same_words(first, other)
    first.model.load_state_dict(
        _mean([first.model.state_dict(), *(other.model.state_dict() for other in others)])
    )
    heads = _mean_read_outs([load_read_outs(folder) for folder in checkpoints])
    make_folder(out)
    first.model.save_pretrained(out)
    first.processor.save_pretrained(out)
    if (checkpoints[0] / PROFILE_FILE).is_file():
        shutil.copyfile(checkpoints[0] / PROFILE_FILE, out / PROFILE_FILE)
    if heads is not None:
        write_read_outs(heads, out)


def _require_same_words(first: StartModel, other: StartModel) -> None:
    """Weights of the same size may have learnt to read other tokens, or to answer other prompts."""
    tokens = [one.processor.tokenizer.get_vocab() for one in (first, other)]
    if tokens[0] != tokens[1] or first.profile != other.profile:
        raise InvalidRequest(
            "The checkpoints have other tokens or prompts than each other.",
            "Average runs that began with the same checkpoint.",
        )


def average_tools(files: Sequence[Path], out: Path) -> None:
    """Write the mean of several weights of the embedded tool, in float16, as the package has them.

    Args:
        files: At least two that `ibistrain tool` wrote.
        out: The file.

    Raises:
        InvalidRequest: There are fewer than two, they do not fit each other, or the image encoder
            was tuned along: the mean of factors does not give the mean of their products.
        ModelNotFound: One of them is missing or damaged.
        OutputNotWritable: The file cannot be written.
    """
    if len(files) < 2:
        raise InvalidRequest("There is nothing to average.", "Name at least two files.")
    states = [_tool(file) for file in files]
    if any(tunes_encoder(state) for state in states):
        raise InvalidRequest(
            "These weights have tuned the image encoder, which cannot be averaged.",
            "Average runs with --posed, which leave the encoder as it is.",
        )
    make_folder(out.parent)
    write_click_weights(out, _mean(states))


def _tool(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelNotFound(
            f"'{file}' holds no weights of the embedded tool.",
            "Name files that `ibistrain tool` wrote, or folders that hold a policy.",
        ) from error


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


def _mean_read_outs(all_of_them: Sequence[GroundingHeads | None]) -> GroundingHeads | None:
    heads = [one for one in all_of_them if one is not None]
    if len(heads) < len(all_of_them):
        return None
    if any(one.targets != heads[0].targets for one in heads):
        raise InvalidRequest(
            "The checkpoints have learnt other targets than each other.",
            "Average runs on the same pictures.",
        )
    heads[0].load_state_dict(_mean([one.state_dict() for one in heads]))
    return heads[0]
