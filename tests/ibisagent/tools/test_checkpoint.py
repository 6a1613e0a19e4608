"""Weights are read safely, completely, or not at all."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from ibisagent.errors import ModelNotFound
from ibisagent.tools.checkpoint import fill, read_weights


def load_weights(net: nn.Module, path: Path) -> None:
    fill(net, read_weights(path), path)


class Dangerous:
    """Creates a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_arrive(tmp_path: Path, wrapped: bool) -> None:
    source, target = nn.Linear(2, 3), nn.Linear(2, 3)
    state = source.state_dict()
    torch.save({"model": state, "epoch": 7} if wrapped else state, tmp_path / "w.pth")
    load_weights(target, tmp_path / "w.pth")
    assert torch.equal(target.weight, source.weight)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"nowhere\.pth"):
        load_weights(nn.Linear(2, 3), tmp_path / "nowhere.pth")


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        load_weights(nn.Linear(2, 3), tmp_path)


@pytest.mark.parametrize("content", [b"", b"not weights at all", pickle.dumps([1, 2], 2)])
def test_a_broken_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(ModelNotFound):
        load_weights(nn.Linear(2, 3), path)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(4, 5).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ModelNotFound, match="not those of the model"):
        load_weights(nn.Linear(2, 3), tmp_path / "w.pth")


def test_code_in_the_file_does_not_run(tmp_path: Path) -> None:
    torch.save({"model": Dangerous(tmp_path / "harm")}, tmp_path / "w.pth")
    with pytest.raises(ModelNotFound, match="safely"):
        load_weights(nn.Linear(2, 3), tmp_path / "w.pth")
    assert not (tmp_path / "harm").exists()
