"""Where weights go, decided on machines of all kinds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ibisagent.errors import DeviceUnavailable, MissingPackage
from ibisagent.policies import placement
from ibisagent.policies.placement import choose_placement, must_spread, weight_bytes

GB = 10**9


@pytest.mark.parametrize(
    ("weights", "free", "expected"),
    [
        (16 * GB, [], False),
        (16 * GB, [8 * GB], False),
        (16 * GB, [24 * GB, 24 * GB], False),
        (16 * GB, [18 * GB, 24 * GB], True),
        (16 * GB, [12 * GB, 12 * GB], True),
    ],
)
def test_weights_are_spread_only_where_one_of_several_gpus_is_too_small(
    weights: int, free: list[int], expected: bool
) -> None:
    assert must_spread(weights, free) is expected


def test_on_a_cpu_weights_are_float32() -> None:
    chosen = choose_placement(GB, "cpu")
    assert chosen.loading == {"dtype": torch.float32}
    assert chosen.move_to == torch.device("cpu")


@pytest.fixture
def two_small_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "resolve_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(placement, "_free_bytes", lambda: [12 * GB, 12 * GB])


@pytest.mark.usefixtures("two_small_gpus")
class TestTwoSmallGpus:
    def test_a_large_model_is_spread(self) -> None:
        chosen = choose_placement(16 * GB)
        assert chosen.loading == {"dtype": "auto", "device_map": "auto"}
        assert chosen.move_to is None

    def test_a_small_one_is_not_and_keeps_its_format(self) -> None:
        chosen = choose_placement(GB)
        assert chosen.loading == {"dtype": "auto"}
        assert chosen.move_to == torch.device("cuda")

    def test_neither_is_one_whose_gpu_was_named(self) -> None:
        assert "device_map" not in choose_placement(16 * GB, "cuda:0").loading

    def test_spreading_needs_accelerate(self, monkeypatch: pytest.MonkeyPatch) -> None:
        forget(monkeypatch, "accelerate")
        with pytest.raises(MissingPackage, match="accelerate") as caught:
            choose_placement(16 * GB)
        assert "cuda:0" in caught.value.fix

    def test_four_bits_fit_one_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(placement, "require_package", lambda *_: None)
        chosen = choose_placement(16 * GB, four_bit=True)
        assert chosen.loading["quantization_config"].load_in_4bit
        assert chosen.loading["device_map"] == {"": torch.device("cuda")}
        assert chosen.loading["dtype"] == torch.bfloat16
        assert chosen.move_to is None


def forget(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    from importlib.util import find_spec

    monkeypatch.setattr(
        "ibisagent.policies.optional_package.find_spec",
        lambda name: None if name in packages else find_spec(name),
    )


def test_four_bits_need_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch, "bitsandbytes")
    with pytest.raises(MissingPackage, match="bitsandbytes") as caught:
        choose_placement(GB, "cpu", four_bit=True)
    assert "uv pip install bitsandbytes" in caught.value.fix


def test_an_absent_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceUnavailable):
        choose_placement(GB, "cuda:99")


def test_weight_bytes_counts_weights_only(tmp_path: Path) -> None:
    for name, size in (("model-1.safetensors", 10), ("model-2.safetensors", 5), ("x.json", 7)):
        (tmp_path / name).write_bytes(bytes(size))
    assert weight_bytes(tmp_path) == 15


class FakeModel:
    def __init__(self, device: str, dtype: torch.dtype, refuses: bool = False) -> None:
        self.device, self.dtype, self.refuses = torch.device(device), dtype, refuses
        self.attention = "sdpa"

    def set_attn_implementation(self, name: str) -> None:
        if self.refuses:
            raise ValueError("this architecture has no flash attention")
        self.attention = name


@pytest.mark.parametrize(
    ("model", "installed", "expected"),
    [
        (FakeModel("cuda", torch.bfloat16), True, "flash_attention_2"),
        (FakeModel("cuda", torch.bfloat16), False, "sdpa"),
        (FakeModel("cuda", torch.float32), True, "sdpa"),
        (FakeModel("cpu", torch.bfloat16), True, "sdpa"),
        (FakeModel("cuda", torch.bfloat16, refuses=True), True, "sdpa"),
    ],
)
def test_flash_attention_is_taken_where_everything_allows_it(
    model: FakeModel, installed: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "is_flash_attn_2_available", lambda: installed)
    placement.choose_attention(model)
    assert model.attention == expected
