"""A real run of a few steps, its continuation, and its result in use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ibisagent.actions import Click
from ibisagent.errors import InvalidRequest, ModelNotFound
from ibisagent.tools.litemedsam import LiteMedSAM
from ibistrain.clicks import click_trainer
from ibistrain.clicks.click_trainer import ClickConfig
from ibistrain.clicks.train import POSED_FOLDER, train_clicks
from ibistrain.labelled_picture import LabelledPicture

CONFIG = ClickConfig(steps=2, pictures=1, targets=2, boxes=2, save_every=1)
WEIGHTS = {"blobs": 1.0}


@pytest.fixture(scope="module")
def run(
    tiny: None, tmp_path_factory: pytest.TempPathFactory, pictures: list[LabelledPicture]
) -> Iterator[Path]:
    """The weights of a finished run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click_trainer, "CLICKS", ((2,), (1,)))
        yield train_clicks(pictures, WEIGHTS, tmp_path_factory.mktemp("run"), CONFIG)


def test_a_run_is_continued_to_the_same_weights(
    run: Path, tmp_path: Path, pictures: list[LabelledPicture]
) -> None:
    shutil.copytree(run.parent, tmp_path / "broken")
    shutil.rmtree(tmp_path / "broken" / "checkpoint-2")
    continued = train_clicks(pictures, WEIGHTS, tmp_path / "broken", CONFIG)
    expected, found = load_file(run), load_file(continued)
    assert expected.keys() == found.keys()
    assert any(value.any() for name, value in found.items() if name.endswith(".up"))
    for name, value in found.items():
        assert torch.allclose(value, expected[name], atol=1e-6), name


def test_its_weights_work_in_the_tool(run: Path, pictures: list[LabelledPicture]) -> None:
    mask = LiteMedSAM("cpu", run).set_image(pictures[0].rgb).segment([Click(0.5, 0.5)]).mask
    assert mask.shape == pictures[0].labels.shape


def test_a_run_begins_with_the_weights_of_another(
    run: Path, tmp_path: Path, pictures: list[LabelledPicture]
) -> None:
    config = CONFIG.model_copy(update={"steps": 1, "boxes": 0, "learning_rate": 1e-12})
    second = train_clicks(pictures, WEIGHTS, tmp_path / "second", config, run)
    started = load_file(run)
    for name, value in load_file(second).items():
        assert torch.allclose(value, started[name], atol=1e-5), name


@pytest.mark.parametrize("content", [b"", b"no safetensors", "of something else"])
def test_weights_of_something_else_are_no_start(
    content: bytes | str, tiny: None, tmp_path: Path, pictures: list[LabelledPicture]
) -> None:
    start = tmp_path / "weights.safetensors"
    if isinstance(content, str):
        save_file({content: torch.zeros(1)}, start)
    else:
        start.write_bytes(content)
    config = CONFIG.model_copy(update={"boxes": 0})
    with pytest.raises(ModelNotFound, match="not its weights"):
        train_clicks(pictures, WEIGHTS, tmp_path / "run", config, start)


def test_posed_pictures_are_embedded_once(
    tiny: None, tmp_path: Path, pictures: list[LabelledPicture]
) -> None:
    """A broken-off run goes on with the same ones, and leaves the encoder as it is."""
    config = CONFIG.model_copy(update={"posed": 3})
    weights = load_file(train_clicks(pictures, WEIGHTS, tmp_path / "run", config))
    assert not any(name.startswith("image_encoder.") for name in weights)
    (posed,) = (tmp_path / "run" / POSED_FOLDER).iterdir()
    made = posed.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "run" / "checkpoint-2")
    continued = load_file(train_clicks(pictures, WEIGHTS, tmp_path / "run", config))
    assert posed.stat().st_mtime_ns == made
    for name, value in continued.items():
        assert torch.allclose(value, weights[name], atol=1e-6), name


def test_a_tuned_encoder_needs_pictures_anew(
    run: Path, tmp_path: Path, pictures: list[LabelledPicture]
) -> None:
    config = CONFIG.model_copy(update={"posed": 2})
    with pytest.raises(InvalidRequest, match="tuned"):
        train_clicks(pictures, WEIGHTS, tmp_path / "run", config, run)
    assert not (tmp_path / "run" / POSED_FOLDER).exists()  # nobody waited for them
