from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file

from ibisagent.errors import InvalidRequest, ModelNotFound
from ibisagent.policies.local import LocalPolicy
from ibistrain.grounding import GroundingHeads
from ibistrain.publish import publish
from ibistrain.read_outs import load_read_outs, write_read_outs


def test_published_checkpoint_loads_like_any_other(start, tmp_path):
    out = tmp_path / "released"
    publish(start, out, "# card")
    policy = LocalPolicy(out, device="cpu")
    assert policy.profile is not None
    assert policy.profile.name == "embedded"
    assert (out / "README.md").read_text() == "# card"
    assert {t.dtype for t in load_file(out / "model.safetensors").values()} == {torch.float16}
    assert [entry.name for entry in tmp_path.iterdir()] == ["released"]


def test_read_outs_go_along(start, tmp_path):
    ours = shutil.copytree(start, tmp_path / "ours")
    heads = GroundingHeads(64, ["disc"])
    write_read_outs(heads, ours)
    publish(ours, tmp_path / "released", "# card")
    LocalPolicy(tmp_path / "released", device="cpu")
    found = load_read_outs(tmp_path / "released")
    assert found is not None
    assert found.targets == ("disc",)
    assert torch.equal(found.cover.weight, heads.cover.weight.half().float())


def test_what_stood_there_is_replaced_whole(start, tmp_path):
    out = tmp_path / "released"
    publish(start, out, "# first")
    (out / "stray.txt").write_text("left over")
    publish(start, out, "# second")
    assert (out / "README.md").read_text() == "# second"
    assert not (out / "stray.txt").exists()


def test_a_failure_leaves_what_stood_there(start, tmp_path, monkeypatch):
    out = tmp_path / "released"
    publish(start, out, "# first")
    monkeypatch.setattr("ibistrain.publish.shutil.copyfile", _full_disk)
    with pytest.raises(OSError, match="No space"):
        publish(start, out, "# second")
    assert (out / "README.md").read_text() == "# first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["released"]


def _full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_other_folders_are_not_replaced(start, tmp_path):
    (tmp_path / "thesis").mkdir()
    with pytest.raises(InvalidRequest, match="no checkpoint"):
        publish(start, tmp_path / "thesis", "# card")


def test_an_unfinished_run_is_refused(tmp_path):
    with pytest.raises(ModelNotFound, match="model/ folder"):
        publish(tmp_path, tmp_path / "out", "# card")
