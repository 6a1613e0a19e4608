"""A real run of a few steps, its continuation, and its result in use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ibisagent.actions import Click
from ibisagent.tools.litemedsam import LiteMedSAM
from ibisagent.tools.litemedsam_net import LiteMedSAMNet
from ibistrain.clicks.embedded_pictures import embed_pictures
from ibistrain.clicks.train import ClickConfig, DrawnSequences, train_clicks
from ibistrain.corpus import LabelledPicture


@pytest.fixture(scope="module")
def folder(pictures: list[LabelledPicture], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures")
    embed_pictures(pictures, {"blobs": 1.0}, LiteMedSAMNet("cpu"), path, 2)
    return path


def test_sequences_are_decided_by_their_number(folder: Path) -> None:
    drawn = DrawnSequences(folder, ClickConfig(steps=4))
    one, other = drawn[3], drawn[3]
    assert np.array_equal(one.targets, other.targets)
    assert one.seed == other.seed
    assert one.targets.shape == one.starts.shape
    assert one.targets.any(axis=(1, 2)).all()


def test_a_run_is_continued_and_its_weights_work(
    folder: Path, tmp_path: Path, pictures: list[LabelledPicture]
) -> None:
    config = ClickConfig(steps=1, pictures=1, targets=1, save_every=1)
    train_clicks(folder, tmp_path / "run", config)
    weights = train_clicks(folder, tmp_path / "run", config.model_copy(update={"steps": 2}))
    assert (tmp_path / "run" / "checkpoint-2").is_dir()
    tool = LiteMedSAM("cpu", weights)
    mask = tool.set_image(pictures[0].rgb).segment([Click(0.5, 0.5)]).mask
    assert mask.shape == pictures[0].labels.shape
