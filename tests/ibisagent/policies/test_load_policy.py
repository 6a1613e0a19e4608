"""Policies by their configuration string."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from harness.hub_cache import COMMIT, put_in_cache
from harness.tiny_checkpoint import write_checkpoint

from ibisagent.errors import InvalidRequest, MissingPackage, ModelNotFound
from ibisagent.policies import load_policy
from ibisagent.policies.endpoint import EndpointPolicy
from ibisagent.policies.local import LocalPolicy


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("policy") / "tiny")


def test_a_folder_or_a_hub_name(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_cache(
        monkeypatch,
        tmp_path,
        "owner/model",
        lambda folder: shutil.copytree(checkpoint, folder, dirs_exist_ok=True),
        "RL",
    )
    local = load_policy(str(checkpoint), "cpu")
    hub = load_policy(f"owner/model@{COMMIT}#RL", "cpu")
    assert isinstance(local, LocalPolicy)
    assert isinstance(hub, LocalPolicy)
    assert (local.name, hub.name) == ("local:tiny", f"hf:owner/model@{COMMIT[:12]}#RL")


def test_an_endpoint() -> None:
    policy = load_policy("endpoint:http://127.0.0.1:8000/v1#ibis")
    assert isinstance(policy, EndpointPolicy)
    assert policy.name == "endpoint:ibis"
    assert policy.profile is None


def test_malformed_ones() -> None:
    with pytest.raises(InvalidRequest):
        load_policy("endpoint:ibis")
    with pytest.raises(ModelNotFound):
        load_policy("no such thing")


def test_options_reach_the_policy(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = load_policy(f"{checkpoint}?max_pixels=5000", "cpu")
    served = load_policy("endpoint:http://127.0.0.1/v1#ibis?max_pixels=5000")
    assert local._max_pixels == served._max_pixels == 5000
    assert local.name == "local:tiny?max_pixels=5000"
    assert served.name == "endpoint:ibis?max_pixels=5000"
    monkeypatch.setattr("ibisagent.policies.optional_package.find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="bitsandbytes"):
        load_policy("owner/is-not-asked-for?four_bit=true", "cpu")


def test_a_server_decides_how_it_holds_its_weights() -> None:
    with pytest.raises(InvalidRequest, match="where it is started"):
        load_policy("endpoint:http://127.0.0.1/v1#ibis?four_bit=true")
