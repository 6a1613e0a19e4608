"""Specifications of tools."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ibisagent.errors import DeviceUnavailable, InvalidRequest, ModelNotFound
from ibisagent.tools import load_tool


@pytest.mark.parametrize(
    "spec",
    ["", "unet", "embedded:x", "litemedsam:", "sam", "sam:vit_b:", "sam:vit_x:w.pth", "medsam:"],
)
def test_an_unknown_tool_lists_the_choices(spec: str) -> None:
    with pytest.raises(InvalidRequest, match=r"'embedded'.*'sam:vit_b:FILE'.*'medsam:FILE'"):
        load_tool(spec)


def test_an_absent_device_is_refused() -> None:
    with pytest.raises(DeviceUnavailable):
        load_tool("embedded", device="cuda:99")


@pytest.mark.parametrize("family", ["litemedsam", "sam:vit_b", "medsam"])
def test_a_missing_checkpoint_is_named(tmp_path: Path, family: str) -> None:
    with pytest.raises(ModelNotFound, match=r"none\.pth"):
        load_tool(f"{family}:{tmp_path / 'none.pth'}")


def test_importing_the_package_loads_no_model_library() -> None:
    code = "import sys, ibisagent.tools; print('torch' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert found.stdout.strip() == "False"
