"""Adapters and the checkpoints that a run starts from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from harness.tiny_checkpoint import write_checkpoint
from peft import get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from ibisagent.errors import ModelNotFound
from ibisagent.prompts import PROFILE_FILE
from ibistrain.adapters import LoraSettings, freeze_eyes, lora_config, merge_adapter
from ibistrain.start_model import load_start, start_folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("base"))


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    """An adapter whose weights are not zero, with prompts of its own."""
    torch.manual_seed(1)
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    adapted = get_peft_model(model, lora_config(LoraSettings(rank=2), train_vision=False))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    folder = tmp_path / "adapter"
    adapted.save_pretrained(folder)
    (folder / PROFILE_FILE).write_text(
        '{"name": "mine", "first": "{prompt}", "refine": "{prompt}"}'
    )
    return folder


def test_an_adapter_leaves_eyes_and_head_alone(base: Path):
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    adapted = get_peft_model(model, lora_config(LoraSettings(rank=2), train_vision=False))
    touched = {name for name, p in adapted.named_parameters() if p.requires_grad}

    assert any("q_proj" in name for name in touched)
    assert not any("visual" in name or "lm_head" in name for name in touched)


def test_an_adapter_is_merged_before_it_is_trained_further(
    base: Path, adapter: Path, tmp_path: Path
):
    folder = start_folder(str(adapter), tmp_path / "run")
    start = load_start(folder)

    before, after = (load_file(f / "model.safetensors") for f in (base, folder))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert folder == tmp_path / "run" / "start"
    assert changed
    assert not any("visual" in name for name in changed)
    assert start.profile.name == "mine"
    assert start_folder(str(adapter), tmp_path / "run") == folder


def test_an_adapter_without_its_base_is_refused(adapter: Path, tmp_path: Path):
    file = adapter / "adapter_config.json"
    fields = json.loads(file.read_text()) | {"base_model_name_or_path": str(tmp_path / "gone")}
    file.write_text(json.dumps(fields))

    with pytest.raises(ModelNotFound, match="cannot be loaded"):
        merge_adapter(adapter, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_eyes_are_frozen_where_they_are_known(base: Path):
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)

    assert freeze_eyes(model) > 10
    assert all(p.requires_grad != ("visual" in name) for name, p in model.named_parameters())
    with pytest.raises(ModelNotFound, match="vision tower"):
        freeze_eyes(torch.nn.Linear(2, 2))


def test_a_checkpoint_that_cannot_be_trained_is_named(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")

    with pytest.raises(ModelNotFound, match="can be trained"):
        load_start(tmp_path)
    with pytest.raises(ModelNotFound, match="no checkpoint"):
        start_folder(str(tmp_path / "nowhere"), tmp_path)


@pytest.mark.parametrize("half", [False, True])
def test_weights_are_held_as_asked(base: Path, half: bool):
    start = load_start(base, half=half)

    assert start.model.dtype == (torch.bfloat16 if half else torch.float32)
    assert start.model.name_or_path == str(base)
