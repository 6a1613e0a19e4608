"""The doctor's judgements, on machines made up for the purpose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ibisagent.doctor import (
    Plan,
    check_disk,
    check_gpu,
    check_own_packages,
    check_packages,
    check_python,
    check_torch,
    check_tracking,
    examine,
)
from ibisagent.doctor_facts import Facts, Gpu
from ibisagent.finding import Finding, Level
from ibisagent.machine_profile import Needs

OK, WARN, FAIL = Level.OK, Level.WARN, Level.FAIL

HEALTHY = Facts(
    python="3.11.9",
    python_wanted=">=3.10,<3.13",
    requirements=(
        "numpy<2,>=1.26",
        "torch==2.13.0",
        "torchvision==0.28.0",
        "monailabel==0.8.5; extra == 'server'",
        "pydicom<3; extra == 'server'",
        "peft>=0.17; extra == 'train'",
        "nilearn>=0.12; extra == 'demo'",
        "tomli; python_version < '3' and extra == 'demo'",
        "pytest; extra == 'dev'",
    ),
    versions={
        "numpy": "1.26.4",
        "torch": "2.13.0",
        "torchvision": "0.28.0",
        "monailabel": "0.8.5",
        "pydicom": "2.4.4",
        "peft": "0.21.0",
        "nilearn": "0.13.0",
    },
    cuda_build=True,
    gpus=(Gpu("H", 24.0), Gpu("A", 80.0)),
    disk_free_gb=100.0,
    tracking="false",
)
LARGE = Plan(needs=Needs(gpu_gb=40, disk_gb=20))


def with_versions(**versions: str | None) -> Facts:
    """The healthy machine with other versions; None for what is not installed."""
    new = {**HEALTHY.versions, **versions}
    return replace(HEALTHY, versions={k: v for k, v in new.items() if v is not None})


def packages(facts: Facts) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_packages(facts)}


@pytest.mark.parametrize(
    ("version", "level"), [("3.9.1", FAIL), ("3.10.0", OK), ("3.12.7", OK), ("3.13.0", FAIL)]
)
def test_python(version: str, level: Level) -> None:
    finding = check_python(replace(HEALTHY, python=version))
    assert finding.level is level
    assert bool(finding.fix) is (level is FAIL)


def test_a_healthy_machine_has_its_versions_listed() -> None:
    found = packages(HEALTHY)
    assert list(found) == ["packages", "packages [server]", "packages [train]", "packages [demo]"]
    assert {finding.level for finding in found.values()} == {OK}
    assert found["packages [server]"].detail == "monailabel 0.8.5, pydicom 2.4.4"


def test_numpy_2_is_found_with_the_command_that_mends_it() -> None:
    finding = packages(with_versions(numpy="2.1.0"))["packages"]
    assert finding.level is FAIL
    assert "numpy 2.1.0" in finding.detail
    assert "uv pip install 'numpy<2,>=1.26'" in finding.fix


def test_a_bound_that_monai_label_does_not_name_is_kept() -> None:
    finding = packages(with_versions(pydicom="3.0.1"))["packages [server]"]
    assert finding.level is FAIL
    assert "uv pip install 'pydicom<3'" in finding.fix


def test_an_extra_that_nobody_installed_is_a_warning() -> None:
    finding = packages(with_versions(monailabel=None, pydicom="3.0.1"))["packages [server]"]
    assert finding.level is WARN
    assert "'ibisagent[server]'" in finding.fix


def test_half_an_extra_is_a_failure() -> None:
    finding = packages(with_versions(pydicom=None))["packages [server]"]
    assert finding.level is FAIL
    assert "pydicom is not installed" in finding.detail


def test_torch_and_torchvision_of_two_builds() -> None:
    assert check_torch(HEALTHY).level is OK
    broken = replace(HEALTHY, torch_error="operator torchvision::nms does not exist")
    finding = check_torch(broken)
    assert finding.level is FAIL
    assert "nms" in finding.detail
    assert "--reinstall torch==2.13.0 torchvision==0.28.0" in finding.fix


@pytest.mark.parametrize(
    ("plan", "facts", "level", "words"),
    [
        (Plan(), replace(HEALTHY, gpus=()), OK, ""),
        (replace(LARGE, device="cpu"), replace(HEALTHY, gpus=()), OK, ""),
        (replace(LARGE, device="cuda:1"), HEALTHY, OK, ""),
        (Plan(device="cuda"), HEALTHY, OK, ""),
        (LARGE, HEALTHY, FAIL, "--device cuda:N"),
        (replace(LARGE, device="cuda:7"), HEALTHY, FAIL, "cuda:0 to cuda:1"),
        (LARGE, replace(HEALTHY, gpus=()), FAIL, "nvidia-smi"),
        (Plan(device="cuda"), replace(HEALTHY, gpus=()), FAIL, "nvidia-smi"),
        (LARGE, replace(HEALTHY, gpus=(), cuda_build=False), FAIL, "--reinstall torch"),
    ],
)
def test_gpu(plan: Plan, facts: Facts, level: Level, words: str) -> None:
    finding = check_gpu(plan, facts)
    assert finding.level is level
    assert words in finding.fix
    assert bool(words) is bool(finding.fix)


@pytest.mark.parametrize(
    ("free", "to_fetch", "level"),
    [(100, True, OK), (10, True, FAIL), (10, False, OK), (0.5, False, WARN)],
)
def test_disk(free: float, to_fetch: bool, level: Level) -> None:
    finding = check_disk(LARGE, replace(HEALTHY, disk_free_gb=free), to_fetch)
    assert finding.level is level
    assert bool(finding.fix) is (level is not OK)


@pytest.mark.parametrize(
    ("value", "level"), [("false", OK), ("False", OK), (None, WARN), ("true", FAIL), ("", FAIL)]
)
def test_tracking(value: str | None, level: Level) -> None:
    (finding,) = check_tracking(replace(HEALTHY, tracking=value))
    assert finding.level is level


def test_tracking_is_nothing_without_monai_label() -> None:
    assert not list(check_tracking(with_versions(monailabel=None)))


@pytest.mark.parametrize(("package", "level"), [("numpy", OK), ("bitsandbytes", FAIL)])
def test_packages_of_the_profile(package: str, level: Level) -> None:
    plan = Plan(needs=Needs(packages=(package,)))
    (finding,) = check_own_packages(plan, HEALTHY)
    assert finding.level is level


@pytest.mark.parametrize(("facts", "level"), [(HEALTHY, OK), (with_versions(peft=None), FAIL)])
def test_an_adapter_needs_peft(tmp_path: Path, facts: Facts, level: Level) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (finding,) = check_own_packages(Plan(policy=f"{tmp_path}?max_pixels=5000"), facts)
    assert (finding.name, finding.level) == ("peft", level)


def test_everything_is_looked_at(tmp_path: Path) -> None:
    plan = Plan(policy=str(tmp_path), needs=Needs(packages=("peft",)))
    names = [finding.name for finding in examine(plan, HEALTHY)]
    assert names == [
        "python",
        "packages",
        "packages [server]",
        "packages [train]",
        "packages [demo]",
        "torch and torchvision",
        "peft",
        "GPU",
        "tool weights",
        "policy weights",
        "disk",
        "MONAI_LABEL_TRACKING_ENABLED",
    ]


def test_servers_are_asked_where_they_are_named() -> None:
    plan = Plan(policy="endpoint:http://127.0.0.1:9/v1#ibis", server="http://127.0.0.1:9")
    found = {finding.name: finding for finding in examine(plan, HEALTHY)}
    assert found["policy server"].level is FAIL
    assert found["MONAI Label server"].level is FAIL
    assert "policy weights" not in found


def test_an_option_of_the_policy_needs_its_packages() -> None:
    findings = list(check_own_packages(Plan(policy="owner/model?four_bit=true"), HEALTHY))
    assert [finding.name for finding in findings] == ["bitsandbytes", "accelerate"]
    assert findings[0].fix == "Run `uv pip install bitsandbytes`."
    assert not list(check_own_packages(Plan(policy="owner/model?bits=4"), HEALTHY))
