"""Checks a machine against what an agent needs, and says what to do.

The facts come from `doctor_facts`, so that each judgement below can be tried on any machine.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ibisagent.doctor_facts import TRACKING, Facts
from ibisagent.doctor_reach import check_endpoint, check_server
from ibisagent.doctor_weights import check_policy_weights, check_tool_weights
from ibisagent.errors import InvalidRequest
from ibisagent.finding import Finding, Level
from ibisagent.machine_profile import Needs
from ibisagent.policies import ENDPOINT
from ibisagent.policies.checkpoint_source import ADAPTER_FILE
from ibisagent.policies.policy_spec import PolicySpec

LEADS = {"server": "monailabel", "train": "peft", "demo": "nilearn"}
"""Extra -> the package whose presence shows that the extra is wanted."""

FULL_DISK_GB = 1.0


@dataclass(frozen=True)
class Plan:
    """What is to run on the machine.

    Attributes:
        policy: See `ibisagent.policies.load_policy`.
        tool: See `ibisagent.tools.load_tool`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        needs: What it needs, as far as a machine profile says.
        server: Address of a MONAI Label server that should be up; empty for none.
    """

    policy: str = "embedded"
    tool: str = "embedded"
    device: str = "auto"
    needs: Needs = field(default_factory=Needs)
    server: str = ""


def examine(plan: Plan, facts: Facts) -> list[Finding]:
    """Everything there is to say about a machine, in the order in which to mend it."""
    findings = [check_python(facts), *check_packages(facts), check_torch(facts)]
    findings += [*check_own_packages(plan, facts), check_gpu(plan, facts)]
    weights = [check_tool_weights(plan.tool), check_policy(plan.policy)]
    to_fetch = any(finding.level is Level.WARN for finding in weights)
    findings += [*weights, check_disk(plan, facts, to_fetch), *check_tracking(facts)]
    if plan.server:
        findings.append(check_server(plan.server))
    return findings


def check_policy(policy: str) -> Finding:
    """Whether the policy's weights are here, or the server that has them answers."""
    if policy.startswith(ENDPOINT):
        return check_endpoint(policy.removeprefix(ENDPOINT))
    return check_policy_weights(policy)


def check_python(facts: Facts) -> Finding:
    """Whether this version of Python is one of those that the dependencies exist for."""
    if SpecifierSet(facts.python_wanted).contains(facts.python, prereleases=True):
        return Finding("python", Level.OK, facts.python)
    return Finding(
        "python",
        Level.FAIL,
        f"{facts.python} is not supported",
        f"Make an environment with Python {facts.python_wanted}, for example `uv venv -p 3.12`.",
    )


def check_packages(facts: Facts) -> Iterator[Finding]:
    """Whether what the package declares is there, within its bounds: the core, then each extra.

    The bounds of the extra `server` are those that MONAI Label itself does not name.
    """
    declared = [Requirement(line) for line in facts.requirements]
    yield _check_group("", [each for each in declared if _applies(each, "")], facts)
    for extra in LEADS:
        group = [e for e in declared if not _applies(e, "") and _applies(e, extra)]
        yield _check_group(extra, group, facts)


def check_own_packages(plan: Plan, facts: Facts) -> Iterator[Finding]:
    """Whether the packages that machine profile and policy ask for by name are there."""
    for package in dict.fromkeys([*plan.needs.packages, *_packages_of(plan.policy)]):
        version = facts.versions.get(canonicalize_name(package))
        if version is None:
            fix = f"Run `uv pip install {package}`."
            yield Finding(package, Level.FAIL, "needed by profile or policy, not installed", fix)
        else:
            yield Finding(package, Level.OK, version)


def _packages_of(policy: str) -> tuple[str, ...]:
    try:
        chosen = PolicySpec.parse(policy)
    except InvalidRequest:  # the finding about the policy says so
        return ()
    adapter = (Path(chosen.where) / ADAPTER_FILE).is_file()
    return (*chosen.packages, *(("peft",) if adapter else ()))


def check_torch(facts: Facts) -> Finding:
    """Whether torch and torchvision are one build; a mixed pair lacks the operator nms."""
    name = "torch and torchvision"
    pair = " and ".join(facts.versions.get(each, "none") for each in ("torch", "torchvision"))
    if not facts.torch_error:
        return Finding(name, Level.OK, f"{pair}, operator nms present")
    return Finding(
        name, Level.FAIL, f"{pair} do not work together: {facts.torch_error}", _reinstall(facts)
    )


def check_gpu(plan: Plan, facts: Facts) -> Finding:
    """Whether there is a GPU with the memory that the profile asks for."""
    wanted = plan.device != "cpu" and (plan.needs.gpu_gb > 0 or plan.device.startswith("cuda"))
    there = ", ".join(f"{gpu.name} ({gpu.gb:.1f} GB)" for gpu in facts.gpus) or "none"
    if not wanted:
        return Finding("GPU", Level.OK, f"{there}; none is needed")
    index = plan.device.partition(":")[2]
    number = int(index) if index.isdecimal() else 0
    if number < len(facts.gpus) and facts.gpus[number].gb >= plan.needs.gpu_gb:
        return Finding("GPU", Level.OK, there)
    if not facts.gpus and not facts.cuda_build:
        return Finding("GPU", Level.FAIL, "torch is built without CUDA", _reinstall(facts))
    if not facts.gpus:
        fix = "Install NVIDIA's driver, until `nvidia-smi` lists the GPU; or use --profile laptop."
        return Finding("GPU", Level.FAIL, "torch finds no GPU", fix)
    if number >= len(facts.gpus):
        fix = f"Choose --device cuda:0 to cuda:{len(facts.gpus) - 1}."
        return Finding("GPU", Level.FAIL, f"there is no {plan.device}: {there}", fix)
    return Finding(
        "GPU",
        Level.FAIL,
        f"{there}; {plan.needs.gpu_gb:g} GB are needed",
        "Choose a larger one with --device cuda:N, serve the policy from a larger machine "
        "(--profile server), or use --profile laptop.",
    )


def check_disk(plan: Plan, facts: Facts, to_fetch: bool) -> Finding:
    """Whether there is room for the weights that still have to be fetched."""
    free = f"{facts.disk_free_gb:.1f} GB free"
    fix = "Make room, or set HF_HOME to a folder on a larger disk."
    if to_fetch and facts.disk_free_gb < plan.needs.disk_gb:
        detail = f"{free}, the weights need {plan.needs.disk_gb:g} GB"
        return Finding("disk", Level.FAIL, detail, fix)
    if facts.disk_free_gb < FULL_DISK_GB:
        return Finding("disk", Level.WARN, f"{free}: results may not fit", fix)
    return Finding("disk", Level.OK, free)


def check_tracking(facts: Facts) -> Iterator[Finding]:
    """MONAI Label would open an MLflow file store, which current MLflow no longer has."""
    if "monailabel" not in facts.versions:
        return
    value = (facts.tracking or "").lower()
    off = f"`export {TRACKING}=false`"
    if value in ("false", "0", "no", "off"):
        yield Finding(TRACKING, Level.OK, value)
    elif facts.tracking is None:
        detail = "not set; `ibisagent serve` sets it to false by itself"
        fix = f"Run {off} before `monailabel start_server`, or start with `ibisagent serve`."
        yield Finding(TRACKING, Level.WARN, detail, fix)
    else:
        yield Finding(TRACKING, Level.FAIL, f"{value!r} stops the server", f"Run {off}.")


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _check_group(extra: str, group: list[Requirement], facts: Facts) -> Finding:
    name = f"packages [{extra}]" if extra else "packages"
    bad = {each: problem for each in group if (problem := _problem(each, facts))}
    if not bad:
        names = sorted({canonicalize_name(each.name) for each in group})
        return Finding(name, Level.OK, ", ".join(f"{n} {facts.versions[n]}" for n in names))
    if extra and LEADS[extra] not in facts.versions:
        fix = f"If you want it, run `uv pip install 'ibisagent[{extra}]'`."
        return Finding(name, Level.WARN, f"{LEADS[extra]} is not installed", fix)
    wanted = shlex.join(f"{each.name}{each.specifier}" for each in bad)
    return Finding(name, Level.FAIL, "; ".join(bad.values()), f"Run `uv pip install {wanted}`.")


def _problem(requirement: Requirement, facts: Facts) -> str:
    version = facts.versions.get(canonicalize_name(requirement.name))
    if version is None:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} {version} is not {requirement.specifier}"
    return ""


def _reinstall(facts: Facts) -> str:
    """The command that puts both in one build from one place."""
    pair = ("torch", "torchvision")
    declared = (Requirement(line) for line in facts.requirements)
    pins = [f"{each.name}{each.specifier}" for each in declared if each.name in pair]
    return f"Run `uv pip install --reinstall {shlex.join(pins or pair)}`."
