"""The extension is configured, built and packed, and works from what was packed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = ROOT / "slicer_extension" / "IBISAgent"
TESTS = ROOT / "tests"
MODULES = "lib/Slicer-5.10/qt-scripted-modules"
TOOLS = Path(sys.executable).parent


def tool(name: str) -> str:
    """CMake's commands, of the environment's package or of the system."""
    found = shutil.which(name, path=f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str, folder: Path, **variables: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder of the extension, configured against the fake Slicer and built."""
    if not any(shutil.which(name) for name in ("cc", "gcc", "clang", "cl")):
        pytest.skip("CMake's project() wants a C compiler, and there is none")
    folder = tmp_path_factory.mktemp("build")
    runner = f"{sys.executable};-m;harness.slicer_self_test"
    fake = TESTS / "harness" / "fake_slicer"
    run(
        tool("cmake"),
        f"-DSlicer_DIR={fake}",
        f"-DFAKE_SLICER_PYTHON_RUNNER={runner}",
        str(ROOT),
        folder=folder,
    )
    run(tool("cmake"), "--build", ".", folder=folder)
    return folder


@pytest.fixture(scope="module")
def packed(build: Path) -> Path:
    """The module's folder in the unpacked package."""
    run(tool("cpack"), folder=build)
    with tarfile.open(next(build.glob("*.tar.gz"))) as package:
        package.extractall(build / "unpacked", filter="data")
    return next((build / "unpacked").glob(f"*/{MODULES}"))


def files(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix() for path in found if "__pycache__" not in path.parts
    }


def test_every_file_of_the_module_is_packed(packed: Path) -> None:
    assert files(packed) == files(EXTENSION) - {"CMakeLists.txt"}


def test_self_test_passes_from_the_packed_tree(build: Path, packed: Path) -> None:
    run(
        tool("ctest"),
        "--output-on-failure",
        folder=build,
        IBISAGENT_MODULE=str(packed),
        PYTHONPATH=str(TESTS),
        PYTHONDONTWRITEBYTECODE="1",
    )


def test_module_tests_pass_from_the_packed_tree(packed: Path) -> None:
    """Run, timeline, module and panel, with every file of theirs taken from the package."""
    names = ("test_run", "test_timeline", "test_module", "test_ui_file")
    tests = [f"slicer_extension/{name}.py" for name in names]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    said = run(*command, folder=TESTS, IBISAGENT_MODULE=str(packed), PYTHONDONTWRITEBYTECODE="1")
    assert re.search(r"\d+ passed", said)


def test_a_file_missing_from_cmake_fails(build: Path, packed: Path, tmp_path: Path) -> None:
    lame = tmp_path / "module"
    shutil.copytree(packed, lame)
    (lame / "IBISAgentLib" / "timeline.py").unlink()
    with pytest.raises(AssertionError, match="timeline"):
        run(
            tool("ctest"),
            "--output-on-failure",
            folder=build,
            IBISAGENT_MODULE=str(lame),
            PYTHONPATH=str(TESTS),
        )


def test_description_tells_what_the_index_asks_for(build: Path) -> None:
    described = (build / "IBISAgent.txt").read_text(encoding="utf-8")
    icon, *screenshots = re.findall(r"https://\S+\.png", described)
    for url in (icon, *screenshots):
        path = ROOT / url.partition("/raw/main/")[2]
        assert path.is_file(), f"{url} leads to no file of this repository"


def test_index_entry_names_the_same_repository() -> None:
    entry = json.loads((ROOT / "slicer_extension" / "IBISAgent.json").read_text(encoding="utf-8"))
    required = {"$schema", "category", "scm_url"}
    known = required | {"build_dependencies", "build_subdirectory", "scm_revision", "tier"}
    assert required <= set(entry) <= known
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert f'set(EXTENSION_REPOSITORY "{entry["scm_url"]}")' in cmake
    assert "project(IBISAgent)" in cmake
    assert (ROOT / "LICENSE").is_file()
