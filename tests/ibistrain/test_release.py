"""Releases: a version is there whole or not at all, and there is always one in use."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ibisagent.errors import InvalidProfile, InvalidRequest, ModelNotFound, OutputNotWritable
from ibisagent.policies import load_policy
from ibistrain.release import Releases

FIGURES = {"dice": 0.5}


@pytest.fixture
def releases(tmp_path) -> Releases:
    return Releases(tmp_path / "model")


@pytest.fixture
def checkpoint(start, tmp_path) -> Path:
    """A checkpoint of one's own, to be spoilt."""
    return Path(shutil.copytree(start, tmp_path / "run"))


def test_before_the_first_release_nothing_is_in_use(releases, tmp_path):
    assert releases.current() is None
    assert releases.versions() == []
    assert not (tmp_path / "model").exists()


def test_a_release_loads_and_carries_card_and_figures(releases, checkpoint):
    version = releases.release(checkpoint, "# card", FIGURES)
    assert releases.current() == version
    assert load_policy(str(version), "cpu").profile.name == "embedded"
    assert (version / "README.md").read_text() == "# card"
    assert json.loads((version / "figures.json").read_text()) == FIGURES


def test_what_only_trainers_need_stays_behind(releases, checkpoint):
    for name in ("optimizer.pt", "training_args.bin", "rng_state.pth", "trainer_state.json"):
        (checkpoint / name).write_bytes(b"x")
    (checkpoint / "checkpoint-4").mkdir()
    version = releases.release(checkpoint, "", {})
    names = {path.name for path in version.iterdir()}
    assert names == {path.name for path in releases.release(version, "", {}).iterdir()}
    assert not names & {"optimizer.pt", "training_args.bin", "rng_state.pth", "checkpoint-4"}
    assert {"model.safetensors", "config.json", "tokenizer.json", "prompts.yaml"} <= names
    assert not any(path.is_symlink() for path in version.parent.parent.rglob("*"))


def test_versions_are_numbered_and_rolled_back_in_turn(releases, start):
    first, second, third = (releases.release(start, f"# {n}", {}) for n in range(3))
    assert releases.versions() == [first, second, third]
    assert releases.rollback() == second == releases.current()
    fourth = releases.release(start, "# 3", {})
    assert fourth.name == "0004"
    assert [releases.rollback(), releases.rollback()] == [second, first]
    with pytest.raises(InvalidRequest, match="no earlier version"):
        releases.rollback()
    assert releases.current() == first
    assert len(releases.versions()) == 4


def test_another_process_sees_the_change(releases, start, tmp_path):
    reader = Releases(tmp_path / "model")
    seen = [reader.current()]
    for _ in range(3):  # within one tick of the clock
        releases.release(start, "", {})
        seen.append(reader.current())
    assert [path and path.name for path in seen] == [None, "0001", "0002", "0003"]


def test_reading_costs_one_look(releases, start, monkeypatch):
    releases.release(start, "", {})
    releases.current()
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("was read again"))
    assert releases.current() is not None


KILL = """
import os, shutil, signal, sys
from pathlib import Path
from ibistrain import release

number, root, start = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
calls = 0

def die_at(original):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls > number:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)
    return call

release.shutil.copyfile = die_at(shutil.copyfile)
release._sync = die_at(release._sync)
Path.replace = die_at(Path.replace)
release.Releases(root).release(start, "# new", {})
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_kill_between_files_leaves_the_old_one_in_use(releases, start, tmp_path):
    """Killed in the copies, after the rename, and just before the pointer is replaced."""
    old = releases.release(start, "# old", {})
    parts = len(list(old.iterdir()))
    last = 0
    for number in (1, 2 * parts - 1, 2 * parts):
        command = [sys.executable, "-c", KILL, str(number), str(tmp_path / "model"), str(start)]
        done = subprocess.run(command, check=False, capture_output=True, timeout=120)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-500:]
        assert Releases(tmp_path / "model").current() == old
        assert all((path / "README.md").is_file() for path in releases.versions())
        last = max(last, len(releases.versions()))
    new = releases.release(start, "# newer", {})
    assert releases.current() == new
    assert int(new.name) == last + 1


def test_what_a_kill_left_is_swept_away_in_time(releases, start):
    folder = releases.release(start, "", {}).parent
    for name, age in ((".new-old", 2 * 24 * 3600), (".new-young", 60)):
        (folder / name).mkdir()
        os.utime(folder / name, (time.time() - age,) * 2)
    releases.release(start, "", {})
    assert not (folder / ".new-old").exists()
    assert (folder / ".new-young").exists()
    assert len(releases.versions()) == 2


def test_a_full_disk_leaves_the_old_one_in_use(releases, start, monkeypatch):
    old = releases.release(start, "", {})
    monkeypatch.setattr("ibistrain.release.shutil.copyfile", _full_disk)
    with pytest.raises(OutputNotWritable, match="No space left"):
        releases.release(start, "", {})
    assert releases.current() == old
    assert [path.name for path in old.parent.iterdir()] == ["0001"]


def _full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def _pickled(folder: Path) -> None:
    torch.save({"a": torch.zeros(1)}, folder / "pytorch_model.bin")


def _without(*names: str):
    def spoil(folder: Path) -> None:
        for name in names:
            (folder / name).unlink(missing_ok=True)

    return spoil


def _cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def _lost_shard(folder: Path) -> None:
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_pickled, "pickled weights"),
        (_without("tokenizer.json", "vocab.json", "tokenizer.model"), "no tokenizer"),
        (_without("prompts.yaml"), "no prompts"),
        (_without("config.json"), "no configuration"),
        (_without("preprocessor_config.json", "processor_config.json"), "no processor"),
        (_without("model.safetensors"), r"lacks model\.safetensors"),
        (_cut_weights, "damaged weights"),
        (_lost_shard, "lacks model-00001"),
        (lambda folder: (folder / "adapter_config.json").write_text("{}"), "is an adapter"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("{"), "a damaged"),
    ],
)
def test_unfit_checkpoints_are_refused(releases, checkpoint, spoil, words, tmp_path):
    spoil(checkpoint)
    with pytest.raises(ModelNotFound, match=words):
        releases.release(checkpoint, "", {})
    assert not (tmp_path / "model").exists()


def test_spoilt_prompts_are_refused(releases, checkpoint):
    (checkpoint / "prompts.yaml").write_text("name: x")
    with pytest.raises(InvalidProfile):
        releases.release(checkpoint, "", {})


@pytest.mark.parametrize("text", ["", "{}", '{"version": "../../etc"}'])
def test_a_damaged_pointer_is_told(releases, start, tmp_path, text):
    releases.release(start, "", {})
    (tmp_path / "model" / "current.json").write_text(text)
    with pytest.raises(ModelNotFound, match="does not say which"):
        releases.current()


def test_a_version_that_is_gone_is_told(releases, start):
    shutil.rmtree(releases.release(start, "", {}))
    with pytest.raises(ModelNotFound, match="not complete"):
        releases.current()


def test_a_file_in_the_place_of_the_folder_is_told(start, tmp_path):
    (tmp_path / "model").write_text("in the way")
    assert Releases(tmp_path / "model").current() is None
    with pytest.raises(OutputNotWritable):
        Releases(tmp_path / "model").release(start, "", {})
