"""Read-outs on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from ibisagent.errors import ModelNotFound
from ibistrain.grounding import GroundingHeads
from ibistrain.read_outs import (
    READ_OUTS_FILE,
    load_read_outs,
    start_read_outs,
    write_read_outs,
)

NAMES = st.lists(st.sampled_from("abcdef"), min_size=1, unique=True)
GRID = (2, 3)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    heads = GroundingHeads(8, ["kidney left", "Nebenh\u00f6hle"])
    write_read_outs(heads, tmp_path)
    found = load_read_outs(tmp_path)
    assert found is not None
    assert found.targets == heads.targets
    for name, value in heads.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name


def test_half_of_the_precision_is_enough(tmp_path: Path) -> None:
    heads = GroundingHeads(8, ["disc"])
    write_read_outs(heads, tmp_path, torch.float16)
    found = load_read_outs(tmp_path)
    assert found is not None
    assert found.cover.weight.dtype == torch.float32
    assert torch.allclose(found.cover.weight, heads.cover.weight, atol=1e-3)


def test_a_checkpoint_without_read_outs_begins_anew(tmp_path: Path) -> None:
    assert load_read_outs(tmp_path) is None
    heads = start_read_outs(tmp_path, 8, ["disc", "star"])
    assert heads.targets == ("disc", "star")
    assert (heads.cover.bias == -4).all()


@settings(deadline=None)
@given(NAMES, NAMES)
def test_targets_that_both_know_are_read_out_alike(ours: list[str], theirs: list[str]) -> None:
    own, other = GroundingHeads(8, ours), GroundingHeads(8, theirs)
    seen = torch.randn(1, 6, 8)
    untrained, known = own.covered(seen, GRID), other.covered(seen, GRID)
    own.adopt(other)
    found = own.covered(seen, GRID)
    assert torch.allclose(found[..., 0], known[..., 0], atol=1e-6)
    for place, name in enumerate(ours, start=1):
        expected = known[..., 1 + theirs.index(name)] if name in theirs else untrained[..., place]
        assert torch.allclose(found[..., place], expected, atol=1e-6), name
    assert torch.equal(own.place.weight, other.place.weight)


def test_read_outs_of_another_model_are_refused(tmp_path: Path) -> None:
    write_read_outs(GroundingHeads(8, ["disc"]), tmp_path)
    with pytest.raises(ModelNotFound, match="8 wide"):
        start_read_outs(tmp_path, 16, ["disc"])


@pytest.mark.parametrize("damage", ["bytes", "no names", "other tensors"])
def test_damaged_read_outs_are_named(tmp_path: Path, damage: str) -> None:
    file = tmp_path / READ_OUTS_FILE
    if damage == "bytes":
        file.write_bytes(b"no safetensors")
    elif damage == "no names":
        save_file(GroundingHeads(8, ["disc"]).state_dict(), file)
    else:
        save_file({"place.weight": torch.zeros(2, 8)}, file, metadata={"targets": '["disc"]'})
    with pytest.raises(ModelNotFound, match=READ_OUTS_FILE) as caught:
        load_read_outs(tmp_path)
    assert "Remove the file" in caught.value.fix
