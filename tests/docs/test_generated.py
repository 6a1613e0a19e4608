"""Pages that follow from the code say what the code says."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import jsonschema
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def generator():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = generator().pages()


@pytest.mark.parametrize("name", PAGES)
def test_page_is_up_to_date(name):
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name], "run `make docs`"


def test_every_command_and_option_is_on_the_page():
    page = PAGES["cli.md"]

    for name in ("segment", "show", "evaluate", "doctor", "serve", "version"):
        assert f"## ibisagent {name}\n" in page
    for name in ("tool", "compare-tools", "rl", "release"):
        assert f"## ibistrain {name}\n" in page
    for option in ("--prompt", "--held-back`, `--all", "--studies", "--conf", "--image"):
        assert f"`{option}`" in page


@pytest.mark.parametrize("name", [name for name in PAGES if name.endswith(".schema.json")])
def test_schema_is_one(name):
    schema = json.loads(PAGES[name])

    jsonschema.Draft7Validator.check_schema(schema)
