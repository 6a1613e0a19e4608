"""Machine profiles: what they choose, and what they ask of a machine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from ibisagent.errors import DeviceUnavailable, InvalidRequest, MissingPackage
from ibisagent.machine_profile import (
    MachineProfile,
    Needs,
    load_machine_profile,
    shipped_machine_profiles,
)
from ibisagent.policies.checkpoint_source import CheckpointSource
from ibisagent.policies.endpoint_address import EndpointAddress
from ibisagent.prompts import load_profile
from ibisagent.tools.weights import tool_source

GPU = MachineProfile(
    name="gpu", summary="", policy="a/b", tool="embedded", needs=Needs(gpu_gb=20, packages=())
)


def give_gpu(monkeypatch: pytest.MonkeyPatch, n_bytes: float | None) -> None:
    """Let torch see one GPU, or none."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: n_bytes is not None)
    monkeypatch.setattr(
        "torch.cuda.get_device_properties", lambda _: SimpleNamespace(total_memory=n_bytes)
    )


def test_three_are_shipped() -> None:
    assert shipped_machine_profiles() == ["laptop", "server", "workstation"]


@pytest.mark.parametrize("name", shipped_machine_profiles())
def test_a_shipped_profile_names_what_can_be_loaded(name: str) -> None:
    profile = load_machine_profile(name)
    assert profile.name == name
    assert tool_source(profile.tool)
    if profile.prompts:
        load_profile(profile.prompts)
    if profile.policy.startswith("endpoint:"):
        assert EndpointAddress.parse(profile.policy.removeprefix("endpoint:")).loopback
    elif profile.policy != "embedded":
        assert CheckpointSource.parse(profile.policy).on_hub


def test_a_file_is_named_after_itself(tmp_path: Path) -> None:
    path = tmp_path / "ward.yaml"
    path.write_text("summary: x\npolicy: embedded\ntool: embedded\n")
    assert load_machine_profile(str(path)).name == "ward"


@pytest.mark.parametrize("text", ["policy: x\n", "- 1\n", "a: [", "summary: x\npolicy: y\nt: z\n"])
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ward.yaml"
    path.write_text(text)
    with pytest.raises(InvalidRequest, match="not valid"):
        load_machine_profile(str(path))


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(InvalidRequest, match="laptop, server, workstation"):
        load_machine_profile("mainframe")


def test_no_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    give_gpu(monkeypatch, None)
    with pytest.raises(DeviceUnavailable, match="torch finds none") as caught:
        GPU.require_machine("a/b", "embedded", "auto")
    assert "ibisagent doctor --profile gpu" in caught.value.fix


def test_a_small_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    give_gpu(monkeypatch, 8e9)
    with pytest.raises(DeviceUnavailable, match=r"with 20 GB; this one has 8\.0 GB"):
        GPU.require_machine("a/b", "embedded", "auto")


def test_a_large_gpu_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    give_gpu(monkeypatch, 24e9)
    GPU.require_machine("a/b", "embedded", "auto")


@pytest.mark.parametrize("agent", [("embedded", "embedded", "auto"), ("a/b", "embedded", "cpu")])
def test_an_agent_that_the_user_changed_is_not_held_to_the_profile(
    monkeypatch: pytest.MonkeyPatch, agent: tuple[str, str, str]
) -> None:
    give_gpu(monkeypatch, None)
    GPU.require_machine(*agent)


def test_a_missing_package_is_named() -> None:
    profile = GPU.model_copy(update={"needs": Needs(packages=("no_such_package",))})
    with pytest.raises(MissingPackage, match="no_such_package"):
        profile.require_machine("a/b", "embedded", "cpu")
