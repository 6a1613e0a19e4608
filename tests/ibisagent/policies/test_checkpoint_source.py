"""Specifications of checkpoints, and the hub's cache."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from harness.hub_cache import COMMIT, put_in_cache

from ibisagent.errors import ModelNotFound
from ibisagent.policies.checkpoint_source import CheckpointSource

FULL = f"manglu3935/IBIS@{COMMIT}#qwen2_5vl-7b-RL"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("a/b", ("a/b", "", "")),
        ("hf:a/b", ("a/b", "", "")),
        ("a/b@v1.0", ("a/b", "v1.0", "")),
        ("a/b#c/d", ("a/b", "", "c/d")),
        (f"hf:{FULL}", ("manglu3935/IBIS", COMMIT, "qwen2_5vl-7b-RL")),
    ],
)
def test_hub_names(spec: str, expected: tuple[str, str, str]) -> None:
    source = CheckpointSource.parse(spec)
    assert source.on_hub
    assert (source.name, source.revision, source.subfolder) == expected


def test_a_folder_goes_before_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a@1" / "b#2").mkdir(parents=True)
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for spec in ("a/b", "a@1/b#2"):
        assert CheckpointSource.parse(spec) == CheckpointSource(spec)
    assert CheckpointSource.parse("hf:a/b").on_hub


@pytest.mark.parametrize(
    "spec", ["", "hf:", "a", "/a/b", "a/b/c", "a/b@", "a/b#", "hf:a/b#../../c", "../a", "a b/c"]
)
def test_neither_folder_nor_hub_name(spec: str) -> None:
    with pytest.raises(ModelNotFound, match="There is no checkpoint") as caught:
        CheckpointSource.parse(spec)
    assert "owner/model@revision#sub-folder" in caught.value.fix


def write_config(folder: Path) -> None:
    (folder / "config.json").write_text("{}", encoding="utf-8")


def test_a_pinned_sub_folder_is_found_without_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = put_in_cache(monkeypatch, tmp_path, "manglu3935/IBIS", write_config, "qwen2_5vl-7b-RL")
    source = CheckpointSource.parse(FULL)
    assert source.folder().samefile(folder)
    assert source.label(source.folder()) == f"hf:manglu3935/IBIS@{COMMIT[:12]}#qwen2_5vl-7b-RL"
    assert not caplog.records


def test_without_a_revision_the_newest_is_taken_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put_in_cache(monkeypatch, tmp_path, "a/b", write_config)
    source = CheckpointSource.parse("a/b")
    with caplog.at_level(logging.WARNING):
        folder = source.folder()
    assert "names no revision" in caplog.text
    assert source.label(folder) == f"hf:a/b@{COMMIT[:12]}"


def test_what_the_hub_does_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_cache(monkeypatch, tmp_path, "a/b", write_config)
    for spec in ("a/c", "a/b@v9"):
        with pytest.raises(ModelNotFound, match="could not be had from the hub") as caught:
            CheckpointSource.parse(spec).folder()
        assert "\n" not in caught.value.message
        assert "folder of a copy" in caught.value.fix
    with pytest.raises(ModelNotFound, match="has no folder 'weights'"):
        CheckpointSource.parse(f"a/b@{COMMIT}#weights").folder()
