"""The mean of checkpoints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from ibisagent.errors import InvalidRequest, ModelNotFound
from ibisagent.policies.local import LocalPolicy
from ibisagent.prompts import PROFILE_FILE
from ibisagent.tools.click_weights import EMBEDDED
from ibistrain.averaging import average, average_tools
from ibistrain.cli import app
from ibistrain.grounding import GroundingHeads
from ibistrain.read_outs import READ_OUTS_FILE, load_read_outs, write_read_outs

WEIGHTS = "model.safetensors"


@pytest.fixture
def other(start: Path, tmp_path: Path) -> Path:
    """The same checkpoint with other weights."""
    folder = shutil.copytree(start, tmp_path / "other")
    weights = load_file(folder / WEIGHTS)
    torch.manual_seed(0)
    changed = {name: value + torch.randn_like(value) for name, value in weights.items()}
    save_file(changed, folder / WEIGHTS, metadata={"format": "pt"})
    return folder


def test_weights_are_the_mean_and_all_else_the_first_ones(
    start: Path, other: Path, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "mean"
    average([start, other, other], out)
    one, two, found = (load_file(folder / WEIGHTS) for folder in (start, other, out))
    assert found.keys() == one.keys()
    for name, value in found.items():
        assert torch.allclose(value, (one[name] + 2 * two[name]) / 3, atol=1e-5), name
    assert (out / PROFILE_FILE).read_bytes() == (start / PROFILE_FILE).read_bytes()
    assert LocalPolicy(out, "cpu").profile == LocalPolicy(start, "cpu").profile
    assert not (out / READ_OUTS_FILE).exists()


def test_read_outs_are_averaged_where_all_have_them(
    start: Path, other: Path, tmp_path: Path
) -> None:
    ours = shutil.copytree(start, tmp_path / "ours")
    one, two = (GroundingHeads(8, ["disc", "star"]) for _ in range(2))
    write_read_outs(one, ours)
    average([ours, other], tmp_path / "without")
    assert not (tmp_path / "without" / READ_OUTS_FILE).exists()
    write_read_outs(two, other)
    average([ours, other], tmp_path / "with")
    found = load_read_outs(tmp_path / "with")
    assert found is not None
    assert found.targets == ("disc", "star")
    mean = (one.cover.weight + two.cover.weight) / 2
    assert torch.allclose(found.cover.weight, mean, atol=1e-6)


def test_read_outs_of_other_targets_have_no_mean(start: Path, other: Path, tmp_path: Path) -> None:
    ours = shutil.copytree(start, tmp_path / "ours")
    write_read_outs(GroundingHeads(8, ["disc", "star"]), ours)
    write_read_outs(GroundingHeads(8, ["disc", "moon"]), other)
    with pytest.raises(InvalidRequest, match="other targets"):
        average([ours, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("count", [0, 1])
def test_one_checkpoint_has_no_mean(start: Path, tmp_path: Path, count: int) -> None:
    with pytest.raises(InvalidRequest, match="nothing to average"):
        average([start] * count, tmp_path / "out")


def test_checkpoints_of_other_sizes_are_refused(start: Path, tmp_path: Path) -> None:
    wider = shutil.copytree(start, tmp_path / "wider")
    config = json.loads((wider / "config.json").read_text(encoding="utf-8"))
    config["text_config"]["num_hidden_layers"] -= 1
    config["text_config"]["layer_types"] = config["text_config"]["layer_types"][:-1]
    (wider / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(InvalidRequest, match="other weights"):
        average([start, wider], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "text", "other_text"),
    [("tokenizer.json", '"42"', '"4242"'), (PROFILE_FILE, "name: embedded", "name: another")],
)
def test_checkpoints_with_other_words_are_refused(
    start: Path, other: Path, tmp_path: Path, file: str, text: str, other_text: str
) -> None:
    whole = (other / file).read_text(encoding="utf-8")
    assert text in whole
    (other / file).write_text(whole.replace(text, other_text), encoding="utf-8")
    with pytest.raises(InvalidRequest, match="tokens or prompts"):
        average([start, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_damaged_is_named(start: Path, other: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ModelNotFound):
        average([start, tmp_path / "nothing"], tmp_path / "out")
    ours = shutil.copytree(start, tmp_path / "ours")
    for folder in (ours, other):
        (folder / READ_OUTS_FILE).write_bytes(b"no safetensors")
    with pytest.raises(ModelNotFound, match=READ_OUTS_FILE):
        average([ours, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def tools(tmp_path: Path) -> list[Path]:
    """The package's tool, and one with other weights."""
    weights = load_file(EMBEDDED)
    path = tmp_path / "other.safetensors"
    save_file({name: value + 1 for name, value in weights.items()}, path)
    return [EMBEDDED, path]


def test_tools_are_averaged(tools: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "deep" / "mean.safetensors"
    result = CliRunner().invoke(app, ["average", *map(str, tools), "--out", str(out)])
    assert result.exit_code == 0, result.output
    one, found = load_file(EMBEDDED), load_file(out)
    assert found.keys() == one.keys()
    assert all(value.dtype == torch.float16 for value in found.values())
    name = "mask_decoder.iou_token.weight"
    assert torch.allclose(found[name].float(), one[name].float() + 0.5, atol=1e-2)


def test_tools_that_cannot_be_averaged_are_refused(tools: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "mean.safetensors"
    with pytest.raises(InvalidRequest, match="nothing to average"):
        average_tools(tools[:1], out)
    with pytest.raises(ModelNotFound, match="no weights"):
        average_tools([tools[0], tmp_path / "none.safetensors"], out)
    tuned = {**load_file(EMBEDDED), "image_encoder.x.up": torch.ones(2, 1)}
    save_file(tuned, tools[1])
    with pytest.raises(InvalidRequest, match="tuned the image encoder"):
        average_tools(tools, out)
    assert not out.exists()
