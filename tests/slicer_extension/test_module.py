"""The module's declaration: what Slicer's list of modules and Sample Data get."""

from __future__ import annotations

import importlib
import sys
import types
from types import SimpleNamespace

import pytest
from harness.slicer_panel import MODULE_FOLDER, Module, slicer

FILE = MODULE_FOLDER / "IBISAgent.py"


@pytest.fixture
def parent(module: Module, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The module as Slicer loads it, with the functions that wait for Slicer's start."""
    told = []
    monkeypatch.setattr(slicer.app, "connect", lambda signal, function: told.append(function))
    parent = SimpleNamespace(path=str(FILE))
    importlib.import_module("IBISAgent").IBISAgent(parent)
    parent.told = told
    return parent


def test_declaration(parent: SimpleNamespace) -> None:
    assert parent.title == "IBISAgent"
    assert parent.categories == ["Segmentation"]
    assert "not for clinical use" in parent.helpText
    assert parent.dependencies == ["Segmentations", "Markups", "Sequences"]
    assert parent.contributors


def test_the_file_stays_small() -> None:
    assert FILE.read_text(encoding="utf-8").count("\n") < 400


def test_every_file_of_the_library_stays_small() -> None:
    files = MODULE_FOLDER.rglob("*.py")
    lengths = {path.name: path.read_text(encoding="utf-8").count("\n") for path in files}
    assert max(lengths.values()) < 400, lengths


def test_sample_data_is_offered_after_the_start(
    parent: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = []
    samples = types.ModuleType("SampleData")
    samples.SampleDataLogic = SimpleNamespace(
        registerCustomSampleDataSource=lambda **sample: offered.append(sample)
    )
    monkeypatch.setitem(sys.modules, "SampleData", samples)
    for function in parent.told:
        function()
    (sample,) = offered
    assert sample["category"] == "IBISAgent"
    assert sample["checksums"].removeprefix("SHA256:") in sample["uris"]
    from pathlib import Path

    assert Path(sample["thumbnailFileName"]).is_file()


def test_reopening_after_cleanup(module: Module) -> None:
    module.widget.cleanup()
    module.widget.cleanup()  # unloaded twice is no trouble
    assert module.widget.panel is None
    module.widget.enter()
    module.widget.exit()
