"""The repository around the code: lock file, machine paths, commands, versions, sizes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ibisagent

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
MAX_PACKAGE_FILE_BYTES = 25 * 2**20

MACHINE_PATH = re.compile(
    r"(?<![\w.})>])/(?:home|root|tmp|work|Users|mnt|media)/[\w.]|\b[A-Z]:[\\/]+Users\b"
)
"""A folder of somebody's machine. In front stands no letter, dot or brace, as that would make it
the tail of a longer path or of an address."""

LOCK_ADDRESS = re.compile(r"://|\bfile:|^\s*-|@|(?<![\w.])/\w|[A-Z]:\\")
"""What a line of the lock file must not hold: address, index option, direct reference, path."""


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def repository_files() -> list[Path]:
    """Files that git tracks or would track: all but the ignored ones."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this is no git checkout, so what belongs to it is unknown ({error})")
    paths = (ROOT / name for name in done.stdout.decode().split("\0") if name)
    return [path for path in paths if path.is_file()]


def machine_paths(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if MACHINE_PATH.search(line)]


def direct_requirements() -> list[Requirement]:
    project: dict[str, Any] = tomllib.loads(read("pyproject.toml"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def locked_requirements() -> dict[str, list[Requirement]]:
    """Pins by package; one package has several where platforms or versions of Python differ."""
    pins: dict[str, list[Requirement]] = {}
    for line in read("requirements.lock").splitlines():
        requirement = Requirement(line)
        pins.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return pins


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):(?!=)", read("Makefile"), re.MULTILINE))


def test_lock_has_no_address_and_no_path() -> None:
    offences = [
        line for line in read("requirements.lock").splitlines() if LOCK_ADDRESS.search(line)
    ]
    assert not offences, f"run `make lock`; these lines name a machine or a registry: {offences}"


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https" + "://example.org/simple",
        "-e .",
        "torch @ file" + ":///opt/torch.whl",
        "    /opt/wheels/torch.whl",
    ],
)
def test_lock_rule_finds_an_address(line: str) -> None:
    assert LOCK_ADDRESS.search(line)


@pytest.mark.parametrize("requirement", direct_requirements(), ids=lambda item: item.name)
def test_lock_covers_every_direct_dependency(requirement: Requirement) -> None:
    pins = locked_requirements().get(canonicalize_name(requirement.name), [])
    assert pins, f"{requirement.name} is not in requirements.lock; run `make lock`"
    for pin in pins:
        version = str(pin.specifier).removeprefix("==")
        assert requirement.specifier.contains(version, prereleases=True), (
            f"requirements.lock pins {pin.name} {version}, pyproject.toml asks for "
            f"{requirement.specifier}; run `make lock`"
        )


def test_lock_pins_exactly() -> None:
    pins = [pin for group in locked_requirements().values() for pin in group]
    loose = [str(pin) for pin in pins if not re.fullmatch(r"==[^,*]+", str(pin.specifier))]
    assert not loose, f"pinned to no one version: {loose}"


def test_no_file_names_a_folder_of_one_machine() -> None:
    offences = []
    for path in repository_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture, an image or weights
        offences += [f"{path.relative_to(ROOT)}: {line[:120]}" for line in machine_paths(text)]
    assert not offences, "paths of one machine:\n" + "\n".join(offences)


@pytest.mark.parametrize("folder", ["home/ann", "root/.cache", "tmp/x", "work/data", "Users/ann"])
@pytest.mark.parametrize("before", ["", '"', "=", " ", "(", "file:" + "//"])
def test_machine_path_is_found(before: str, folder: str) -> None:
    assert machine_paths(f"{before}/{folder}")


@pytest.mark.parametrize(
    "line",
    [
        "../shared/data",
        "https" + "://example.org/home/page",
        "{folder}" + "/tmp" + "/x",
        "$OUT" + "/tmp" + "/x",
        "a/work/b",
    ],
)
def test_part_of_another_path_is_not_a_machine_path(line: str) -> None:
    assert not machine_paths(line)


def test_readme_shows_the_two_commands() -> None:
    assert {"demo", "test"} <= targets_named_in("README.md"), (
        "README.md should show `make demo` and `make test`"
    )


@pytest.mark.parametrize("guide", ["README.md", "CONTRIBUTING.md", ".github/workflows/test.yml"])
def test_commands_of_the_guides_exist(guide: str) -> None:
    unknown = targets_named_in(guide) - make_targets()
    assert not unknown, f"{guide} names targets that the Makefile lacks: {unknown}"


def targets_named_in(guide: str) -> set[str]:
    text = read(guide)
    shown = "\n".join(commands(text)) if guide.endswith(".md") else text
    return set(re.findall(r"\bmake ([a-z-]+)", shown))


def commands(markdown: str) -> list[str]:
    """What stands in code fences and between backticks; prose may say "make sure"."""
    fences = re.findall(r"^```[^\n]*\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    return fences + re.findall(r"`([^`\n]+)`", markdown)


def test_ci_runs_what_the_readme_says() -> None:
    lines = [line for line in read(".ci/run").splitlines() if line and not line.startswith("#")]
    assert lines[0] == "set -euo pipefail"
    assert lines[-1] == "make test"
    assert os.access(ROOT / ".ci/run", os.X_OK), "chmod +x .ci/run"


def test_versions_agree() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    releases = re.findall(r"^## \[(\d[^\]]*)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert citation["version"] == ibisagent.__version__
    assert releases[0] == ibisagent.__version__, "the newest heading of CHANGELOG.md"


def test_licences_agree() -> None:
    assert yaml.safe_load(read("CITATION.cff"))["license"] == "Apache-2.0"
    assert tomllib.loads(read("pyproject.toml"))["project"]["license"] == "Apache-2.0"
    assert "Apache License\n                           Version 2.0" in read("LICENSE")


def test_package_files_are_small_enough() -> None:
    library = ROOT / "lib" / "ibisagent"
    sizes = {path: path.stat().st_size for path in repository_files() if library in path.parents}
    assert sizes
    large = {str(p.relative_to(ROOT)): s for p, s in sizes.items() if s > MAX_PACKAGE_FILE_BYTES}
    assert not large, f"over {MAX_PACKAGE_FILE_BYTES} bytes: {large}"
