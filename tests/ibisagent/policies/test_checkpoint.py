"""LoRA adapters and checkpoints from the hub; broken folders are in the local policy's tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from harness.hub_cache import COMMIT, put_in_cache
from harness.tiny_checkpoint import write_checkpoint
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.errors import MissingPackage, ModelNotFound
from ibisagent.policies import checkpoint as module
from ibisagent.policies.checkpoint import ADAPTER_FILE, load_checkpoint
from ibisagent.prompts import PROFILE_FILE

WEIGHTS = "adapter_model.safetensors"
OWN = 'name: own\nfirst: "{prompt}?"\nrefine: "{prompt}!"\n'


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``base`` and, saved by peft, ``adapter``."""
    folder = tmp_path_factory.mktemp("models")
    write_checkpoint(folder / "base")
    torch.manual_seed(1)
    base = AutoModelForImageTextToText.from_pretrained(folder / "base")
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(base, config).save_pretrained(folder / "adapter")
    return folder


@pytest.fixture
def adapter(models: Path, tmp_path: Path) -> Path:
    """A copy of the adapter, to be damaged."""
    return Path(shutil.copytree(models / "adapter", tmp_path / "adapter"))


def name_base(adapter: Path, base: object, **more: object) -> None:
    path = adapter / ADAPTER_FILE
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": base, **more}
    path.write_text(json.dumps(config), encoding="utf-8")


def logits(loaded: module.Checkpoint) -> torch.Tensor:
    with torch.inference_mode():
        return loaded.model(input_ids=torch.arange(40, 60)[None]).logits


class TestAdapter:
    def test_it_computes_what_a_merged_model_does(self, models: Path, tmp_path: Path) -> None:
        loaded = load_checkpoint(str(models / "adapter"), "cpu")
        assert loaded.label == "local:adapter on local:base"
        assert not loaded.model.training

        from peft import PeftModel

        base = AutoModelForImageTextToText.from_pretrained(models / "base")
        merged = PeftModel.from_pretrained(base, models / "adapter").merge_and_unload()
        merged.save_pretrained(tmp_path)
        AutoProcessor.from_pretrained(models / "base").save_pretrained(tmp_path)
        torch.testing.assert_close(logits(loaded), logits(load_checkpoint(str(tmp_path), "cpu")))
        plain = load_checkpoint(str(models / "base"), "cpu")
        assert not torch.allclose(logits(loaded), logits(plain))

    def test_the_base_may_lie_beside_it_or_on_the_hub(
        self, models: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(models / "base", tmp_path / "qwen")
        name_base(adapter, "../qwen")
        assert load_checkpoint(str(adapter), "cpu").label == "local:adapter on local:qwen"
        put_in_cache(
            monkeypatch,
            tmp_path / "cache",
            "qwen/tiny",
            lambda folder: shutil.copytree(models / "base", folder, dirs_exist_ok=True),
        )
        name_base(adapter, "qwen/tiny", revision=COMMIT)
        assert load_checkpoint(str(adapter), "cpu").label.endswith(f"hf:qwen/tiny@{COMMIT[:12]}")

    def test_its_own_words_and_processor_go_before_those_of_the_base(
        self, models: Path, adapter: Path
    ) -> None:
        assert load_checkpoint(str(adapter), "cpu").profile is None
        (adapter / PROFILE_FILE).write_text(OWN, encoding="utf-8")
        processor = AutoProcessor.from_pretrained(models / "base")
        processor.chat_template = "{# mine #}" + processor.chat_template
        processor.save_pretrained(adapter)
        loaded = load_checkpoint(str(adapter), "cpu")
        assert loaded.profile is not None
        assert loaded.profile.name == "own"
        assert loaded.processor.chat_template.startswith("{# mine #}")

    def test_without_peft(self, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ibisagent.policies.optional_package.find_spec", lambda name: None)
        with pytest.raises(MissingPackage, match="peft") as caught:
            load_checkpoint(str(models / "adapter"), "cpu")
        assert "merge the adapter" in caught.value.fix

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"r": 2}'])
    def test_one_that_names_no_base(self, adapter: Path, text: str) -> None:
        (adapter / ADAPTER_FILE).write_text(text, encoding="utf-8")
        with pytest.raises(ModelNotFound, match="does not say what its base is"):
            load_checkpoint(str(adapter), "cpu")

    def test_a_base_that_is_gone(self, adapter: Path) -> None:
        name_base(adapter, "/nowhere/base")
        with pytest.raises(ModelNotFound, match="/nowhere/base"):
            load_checkpoint(str(adapter), "cpu")

    def test_pickled_weights_are_not_read(self, adapter: Path) -> None:
        torch.save(load_file(adapter / WEIGHTS), adapter / "adapter_model.bin")
        (adapter / WEIGHTS).unlink()
        with pytest.raises(ModelNotFound, match=r"adapter_model\.safetensors"):
            load_checkpoint(str(adapter), "cpu")

    def test_weights_of_another_model(self, adapter: Path) -> None:
        weights = load_file(adapter / WEIGHTS)
        renamed = {name.replace("layers", "blocks"): value for name, value in weights.items()}
        save_file(renamed, adapter / WEIGHTS)
        with pytest.raises(ModelNotFound, match="incomplete"):
            load_checkpoint(str(adapter), "cpu")

    def test_layers_that_the_base_does_not_have(self, adapter: Path) -> None:
        base = json.loads((adapter / ADAPTER_FILE).read_text(encoding="utf-8"))
        name_base(adapter, base["base_model_name_or_path"], target_modules=["no_such_layer"])
        with pytest.raises(ModelNotFound, match="no_such_layer"):
            load_checkpoint(str(adapter), "cpu")


def test_a_sub_folder_of_the_hub(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(folder: Path) -> None:
        shutil.copytree(models / "base", folder, dirs_exist_ok=True)
        (folder / PROFILE_FILE).write_text(OWN, encoding="utf-8")

    put_in_cache(monkeypatch, tmp_path, "owner/model", write, "weights/RL")
    loaded = load_checkpoint(f"hf:owner/model@{COMMIT}#weights/RL", "cpu")
    assert loaded.label == f"hf:owner/model@{COMMIT[:12]}#weights/RL"
    assert loaded.profile is not None
    assert loaded.profile.name == "own"


def test_a_checkpoint_with_code_of_its_own_is_not_run(models: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models / "base", tmp_path / "own"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["model_type"] = "unheard_of"
    config["auto_map"] = {"AutoConfig": "own.Config", "AutoModelForImageTextToText": "own.Model"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "own.py").write_text("raise SystemExit('it was run')", encoding="utf-8")
    with pytest.raises(ModelNotFound):
        load_checkpoint(str(folder), "cpu")
