"""Imports run one way, files stay small, libraries do not print.

Each rule reads the source of a tree with `ast` and returns its offences as sentences, so that
the same rule runs on this repository and on a small tree that breaks it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LIBRARY = "lib/ibisagent"
TRAINING = "training/ibistrain"
APP = "monailabel_app"
EXTENSION = "slicer_extension"
MAX_LINES = 400

Rule = Callable[[Path], list[str]]


def sources(root: Path, *folders: str) -> Iterator[tuple[str, str]]:
    """Path relative to `root`, and text, of every Python file in `folders`."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and top-level package of every absolute import, also those inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]
        elif isinstance(node, ast.Call) and node.args and _callee(node) in _DYNAMIC:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value.split(".")[0]


_DYNAMIC = {"import_module", "__import__"}


def _callee(call: ast.Call) -> str:
    """Last part of the name of what is called: ``import_module`` of ``importlib.import_module``."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def forbidden_imports(root: Path, folder: str, names: set[str], why: str) -> list[str]:
    return [
        f"{path}:{line} imports {name}: {why}"
        for path, source in sources(root, folder)
        for line, name in imports(source)
        if name in names
    ]


def library_knows_no_one(root: Path) -> list[str]:
    names = {"ibistrain", "monailabel", "monailabel_app", "slicer"}
    why = "the library is used by trainer, server and client, and may know none of them."
    return forbidden_imports(root, LIBRARY, names, why)


def library_needs_no_trainer(root: Path) -> list[str]:
    why = "training engines belong to training/ibistrain and its extra."
    return forbidden_imports(root, LIBRARY, {"accelerate", "peft", "trl"}, why)


def training_knows_no_server(root: Path) -> list[str]:
    why = "training takes a data set or a function; the app hands it what the server knows."
    return forbidden_imports(root, TRAINING, {"monailabel", "monailabel_app", "slicer"}, why)


def app_knows_no_client(root: Path) -> list[str]:
    return forbidden_imports(root, APP, {"slicer"}, "the server speaks to clients by HTTP only.")


def extension_stands_alone(root: Path) -> list[str]:
    names = {"ibisagent", "ibistrain", "monailabel", "monailabel_app"}
    why = "inside Slicer none of it is installed; speak the protocol instead."
    return forbidden_imports(root, EXTENSION, names, why)


def no_module_is_called_utils(root: Path) -> list[str]:
    return [
        f"{path} is named after nothing: name a module after the idea it holds."
        for path, _ in sources(root, LIBRARY, TRAINING, APP, EXTENSION, "tests", "demo")
        if {"util", "utils"} & set(Path(path).with_suffix("").parts)
    ]


def files_stay_small(root: Path) -> list[str]:
    lengths = {path: text.count("\n") for path, text in sources(root, LIBRARY, TRAINING, APP)}
    return [
        f"{path} has {lines} lines, over {MAX_LINES}: it holds more than one idea; split it."
        for path, lines in lengths.items()
        if lines > MAX_LINES
    ]


def libraries_do_not_print(root: Path) -> list[str]:
    return [
        f"{path}:{node.lineno} calls print(): log, or in a cli module write to a rich console."
        for path, source in sources(root, LIBRARY, TRAINING)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]


RULES: list[tuple[Rule, str, str]] = [
    (library_knows_no_one, f"{LIBRARY}/a.py", "from monailabel.interfaces import app"),
    (library_needs_no_trainer, f"{LIBRARY}/tools/a.py", "def f():\n    import peft"),
    (training_knows_no_server, f"{TRAINING}/a.py", "import monailabel.client"),
    (app_knows_no_client, f"{APP}/a.py", "import slicer"),
    (extension_stands_alone, f"{EXTENSION}/A/a.py", "importlib.import_module('ibisagent.rle')"),
    (no_module_is_called_utils, f"{LIBRARY}/utils/a.py", ""),
    (files_stay_small, f"{TRAINING}/a.py", "x = 1\n" * (MAX_LINES + 1)),
    (libraries_do_not_print, f"{LIBRARY}/a.py", "print('x')"),
]
"""Each rule, and a file that breaks it."""

CLEAN = {
    f"{LIBRARY}/a.py": "import numpy\nfrom . import utils\nconsole.print('x')\n",
    f"{TRAINING}/a.py": "import peft\nfrom ibisagent import actions\n" + "x = 1\n" * 300,
    f"{APP}/a.py": "import monailabel, ibisagent, ibistrain\nprint('x')\n",
    f"{EXTENSION}/IBISAgent/a.py": "import slicer\nfrom IBISAgentLib import client\n",
}
"""Files that break none, near misses of every rule among them."""


def rule_name(value: object) -> str | None:
    return getattr(value, "__name__", "")


@pytest.mark.parametrize("rule", [rule for rule, _, _ in RULES], ids=rule_name)
def test_repository_keeps_the_rule(rule: Rule) -> None:
    offences = rule(ROOT)
    assert not offences, "\n".join(offences)


@pytest.mark.parametrize(("rule", "path", "source"), RULES, ids=rule_name)
def test_rule_finds_an_offence(rule: Rule, path: str, source: str, tmp_path: Path) -> None:
    write_tree(tmp_path, CLEAN | {path: source})
    offences = rule(tmp_path)
    assert len(offences) == 1, offences
    assert offences[0].startswith(path)


@pytest.mark.parametrize("rule", [rule for rule, _, _ in RULES], ids=rule_name)
def test_rule_lets_a_clean_tree_pass(rule: Rule, tmp_path: Path) -> None:
    write_tree(tmp_path, CLEAN)
    assert rule(tmp_path) == []


def test_rules_read_this_repository() -> None:
    """Were a folder renamed, its rules would pass by reading nothing."""
    for folder in (LIBRARY, TRAINING):
        assert any(sources(ROOT, folder)), f"{folder} holds no Python file; update the rules."


def write_tree(root: Path, files: dict[str, str]) -> None:
    for path, source in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source, encoding="utf-8")
