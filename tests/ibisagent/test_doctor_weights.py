"""Weights that are there, half there, or still on the hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness.hub_cache import put_in_cache

from ibisagent.doctor_weights import check_policy_weights, check_tool_weights, missing_shards
from ibisagent.finding import Level

SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def write(folder: Path, *shards: str) -> None:
    """A checkpoint of two files, of which those named are there."""
    (folder / "config.json").write_text("{}")
    index = {"weight_map": {"a": SHARDS[0], "b": SHARDS[1]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for shard in shards:
        (folder / shard).touch()


def test_shards_are_counted(tmp_path: Path) -> None:
    assert missing_shards(tmp_path) == ["model.safetensors"]
    write(tmp_path, SHARDS[0])
    assert missing_shards(tmp_path) == SHARDS[1:]
    (tmp_path / SHARDS[1]).touch()
    assert missing_shards(tmp_path) == []
    (tmp_path / "model.safetensors.index.json").write_text("broken")
    assert missing_shards(tmp_path) == ["model.safetensors.index.json"]


def test_a_folder_of_the_user(tmp_path: Path) -> None:
    assert check_policy_weights(str(tmp_path)).level is Level.FAIL
    write(tmp_path, *SHARDS)
    assert check_policy_weights(str(tmp_path)).level is Level.OK
    assert check_tool_weights(f"sam2:{tmp_path}").level is Level.OK


def test_a_hub_name_is_a_warning_until_it_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    finding = check_policy_weights("hf:owner/model@v1#sub")
    assert finding.level is Level.WARN
    assert "hf download owner/model --revision v1 --include 'sub/*'" in finding.fix


@pytest.mark.parametrize(
    ("shards", "level"), [(SHARDS, Level.OK), (SHARDS[:1], Level.WARN)], ids=["whole", "half"]
)
def test_the_cache_of_the_hub_is_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shards: list[str], level: Level
) -> None:
    put_in_cache(monkeypatch, tmp_path, "owner/model", lambda f: write(f, *shards), "sub")
    assert check_policy_weights("owner/model#sub").level is level
    assert check_tool_weights("sam2:owner/model#sub").level is level


def test_what_is_nowhere_is_a_failure_with_its_fix() -> None:
    for finding in (check_policy_weights("no such"), check_tool_weights("medsam:no.pth")):
        assert finding.level is Level.FAIL
        assert finding.fix


def test_the_embedded_tool_is_here() -> None:
    assert check_tool_weights("embedded").level is Level.OK


def test_a_policys_options_are_not_part_of_its_name(tmp_path: Path) -> None:
    write(tmp_path, *SHARDS)
    assert check_policy_weights(f"{tmp_path}?max_pixels=262144").level is Level.OK
    finding = check_policy_weights(f"{tmp_path}?bits=4")
    assert finding.level is Level.FAIL
    assert "four_bit=true" in finding.fix
