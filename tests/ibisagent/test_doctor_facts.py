"""Facts of the machine that runs the tests."""

from __future__ import annotations

import platform
import sys

import numpy as np
import pytest

from ibisagent.doctor_facts import TRACKING, gather


def test_facts_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRACKING, "false")
    facts = gather()
    assert facts.python == platform.python_version()
    assert facts.python_wanted
    assert any(line.startswith("torch==") for line in facts.requirements)
    assert facts.versions["numpy"] == np.__version__
    assert facts.torch_error == ""
    assert facts.disk_free_gb > 0
    assert facts.tracking == "false"


def test_a_broken_torchvision_is_a_fact_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)
    assert "torchvision.ops" in gather().torch_error
