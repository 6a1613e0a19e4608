from __future__ import annotations

import logging
from pathlib import Path

import pytest

from ibisagent.errors import (
    DeviceUnavailable,
    IBISAgentError,
    InvalidProfile,
    InvalidRequest,
    MissingPackage,
    ModelNotFound,
)
from ibisagent.prompts import load_profile
from ibisagent_app.configuration import (
    checkpoint_folder,
    describe,
    load_profile_of,
    read_configuration,
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "kidneys-7b"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_values_come_as_text(checkpoint: Path) -> None:
    conf = {"policy": str(checkpoint), "max_steps": "3", "device": "cpu", "server_mode": "false"}
    configuration = read_configuration(conf)
    assert configuration.max_steps == 3
    assert (configuration.tool, configuration.prompts) == ("embedded", "")


def test_hub_name_needs_no_folder() -> None:
    configuration = read_configuration({"policy": "owner/model-7b"})
    assert load_profile_of(configuration).name == "default"
    assert "owner/model-7b" in describe(configuration, load_profile())


def test_endpoint_is_not_shown_to_clients() -> None:
    configuration = read_configuration({"policy": "endpoint:http://gpu-box:8000/v1#ibis"})
    assert "gpu-box" not in describe(configuration, load_profile_of(configuration))


def test_options_of_the_policy(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = read_configuration({"policy": f"{checkpoint}?max_pixels=262144"})
    assert checkpoint_folder(configuration) == checkpoint
    description = describe(configuration, load_profile_of(configuration))
    assert "kidneys-7b?max_pixels=262144" in description
    assert str(checkpoint.parent) not in description
    with pytest.raises(InvalidRequest, match="option 'bits'"):
        read_configuration({"policy": f"{checkpoint}?bits=4"})
    monkeypatch.setattr("ibisagent.policies.optional_package.find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="bitsandbytes"):
        read_configuration({"policy": f"{checkpoint}?four_bit=true"})


def test_unknown_key_is_warned_of(checkpoint: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read_configuration({"policy": str(checkpoint), "polcy": "x", "server_mode": "true"})
    (record,) = caplog.records
    assert "polcy" in record.getMessage()
    assert "max_steps" in record.getMessage()


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("max_steps", "many", InvalidRequest),
        ("max_steps", "0", InvalidRequest),
        ("max_steps", "51", InvalidRequest),
        ("device", "", InvalidRequest),
        ("device", "abacus", DeviceUnavailable),
        ("policy", "no-such-folder", ModelNotFound),
        ("policy", "./a/b/c", ModelNotFound),
        ("profile", "mainframe", InvalidRequest),
        ("tool", "hammer", InvalidRequest),
        ("tool", "sam2:missing.pt", ModelNotFound),
        ("tool", "sam:vit_b:missing.pth", ModelNotFound),
        ("tool", "medsam:missing.pth", ModelNotFound),
    ],
)
def test_wrong_value_is_named(
    checkpoint: Path, key: str, value: str, kind: type[IBISAgentError]
) -> None:
    with pytest.raises(kind) as caught:
        read_configuration({"policy": str(checkpoint), key: value})
    assert caught.value.fix
    assert "\n" not in str(caught.value)


def test_a_machine_profile_chooses_and_explicit_keys_win(checkpoint: Path, tmp_path: Path) -> None:
    own = tmp_path / "reading-room.yaml"
    own.write_text(f"summary: x\npolicy: {checkpoint}\ntool: embedded\nmax_steps: 4\ndevice: cpu\n")
    configuration = read_configuration({"profile": str(own)})
    assert (configuration.max_steps, configuration.device) == (4, "cpu")
    configuration = read_configuration({"profile": str(own), "max_steps": "6"})
    assert configuration.max_steps == 6
    description = describe(configuration, load_profile_of(configuration))
    assert "Machine profile: reading-room." in description
    assert str(tmp_path) not in description


def test_a_machine_profile_without_its_gpu_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(DeviceUnavailable, match="needs a GPU") as caught:
        read_configuration({"profile": "workstation"})
    assert "laptop" in caught.value.fix


def test_sam2_on_the_hub_needs_no_file(checkpoint: Path) -> None:
    tool = "sam2:facebook/sam2.1-hiera-large"
    assert read_configuration({"policy": str(checkpoint), "tool": tool}).tool == tool


def test_folder_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="no checkpoint in"):
        read_configuration({"policy": str(tmp_path)})


def test_checkpoint_brings_its_profile_and_card(checkpoint: Path) -> None:
    (checkpoint / "prompts.yaml").write_text(
        "name: own\nfirst: find {prompt}\nrefine: mend {prompt}\ntargets: [spleen, kidney left]\n"
    )
    (checkpoint / "README.md").write_text(
        "---\nlicense: apache-2.0\n---\n\n# Kidneys\n\n| a |\n\nLearnt from\n60 CTs.\n\nMore.\n"
    )
    configuration = read_configuration({"policy": str(checkpoint)})
    profile = load_profile_of(configuration)
    assert profile.name == "own"
    description = describe(configuration, profile)
    assert "Learnt from 60 CTs." in description
    assert "kidney left, spleen" in description
    assert "kidneys-7b" in description
    assert str(checkpoint.parent) not in description


def test_named_profile_comes_before_the_checkpoints(checkpoint: Path) -> None:
    (checkpoint / "prompts.yaml").write_text("not: valid")
    configuration = read_configuration({"policy": str(checkpoint), "prompts": "default"})
    assert load_profile_of(configuration).name == "default"


def test_broken_profile(checkpoint: Path) -> None:
    configuration = read_configuration({"policy": str(checkpoint), "prompts": "missing.yaml"})
    with pytest.raises(InvalidProfile):
        load_profile_of(configuration)
