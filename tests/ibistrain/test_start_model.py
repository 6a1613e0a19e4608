"""Which folder a training run starts from; loading it is tested with the trainers."""

from __future__ import annotations

from pathlib import Path

import pytest

from ibisagent.errors import InvalidRequest, ModelNotFound
from ibisagent.policies import embedded_checkpoint
from ibistrain.start_model import start_folder


def test_options_of_inference_are_no_part_of_its_name(tmp_path: Path) -> None:
    checkpoint = tmp_path / "model"
    checkpoint.mkdir()
    assert start_folder(f"{checkpoint}?max_pixels=262144", tmp_path) == checkpoint
    assert start_folder("embedded?max_pixels=262144", tmp_path) == embedded_checkpoint()


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        start_folder(str(tmp_path / "none"), tmp_path)
    with pytest.raises(InvalidRequest):
        start_folder(f"{tmp_path}?bits=4", tmp_path)
