"""The module opens at once and with what Slicer ships: the rules of the Extensions Index."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "slicer_extension"
SHIPPED = {"ctk", "IBISAgentLib", "numpy", "qt", "scipy", "SimpleITK", "slicer", "vtk"}
SOURCES = sorted((FOLDER / "IBISAgent").rglob("*.py"))


def file_scope_imports(source: str) -> Iterator[str]:
    """Packages that are imported when the file is, except for type checkers only."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                waiting += node.orelse
            else:
                waiting += ast.iter_child_nodes(node)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_files_import_what_slicer_ships(path):
    allowed = SHIPPED | set(sys.stdlib_module_names)
    assert set(file_scope_imports(path.read_text(encoding="utf-8"))) <= allowed


def test_the_rule_finds_an_offence():
    source = "import json\ntry:\n    import requests.adapters\nexcept ImportError:\n    pass\n"
    assert "requests" in set(file_scope_imports(source))
    assert not set(file_scope_imports("def f():\n    import requests\n"))


def test_the_client_is_imported_without_requests_and_without_slicer():
    """So that it can be used and tested anywhere, and costs nothing at Slicer's start."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import IBISAgentLib.worker; "
        "print({'requests', 'slicer', 'vtk', 'SimpleITK', 'ibisagent'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(FOLDER / "IBISAgent")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")
