"""The string that chooses a policy, with its options."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibisagent.errors import InvalidRequest, MissingPackage
from ibisagent.policies.policy_spec import PolicySpec

HUB = "hf:manglu3935/IBIS@v1#qwen2_5vl-7b-RL"
SERVED = "endpoint:http://127.0.0.1:8001/v1#ibis"


@pytest.mark.parametrize("where", ["embedded", "a/folder", "owner/model", HUB, SERVED])
def test_without_options_it_is_what_it_says(where: str) -> None:
    assert PolicySpec.parse(where) == PolicySpec(where)
    assert PolicySpec.parse(where).options == ""


@given(
    where=st.sampled_from(["embedded", "a/folder", "owner/model@v1", HUB, SERVED]),
    max_pixels=st.none() | st.integers(4096, 10**8),
    four_bit=st.booleans(),
)
def test_options_are_read_as_they_are_written(
    where: str, max_pixels: int | None, four_bit: bool
) -> None:
    spec = PolicySpec(where, max_pixels, four_bit)
    assert PolicySpec.parse(where + spec.options) == spec


def test_a_folder_of_that_name_goes_before_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a?four_bit=true").mkdir()
    assert PolicySpec.parse("a?four_bit=true") == PolicySpec("a?four_bit=true")


@pytest.mark.parametrize(
    "option",
    ["", "bits=4", "four_bit", "four_bit=yes", "max_pixels=", "max_pixels=-1", "max_pixels=4095",
     "max_pixels=1e6", "max_pixels=1000000000", "four_bit=true&", "four_bit=true?max_pixels=9999"],
)  # fmt: skip
def test_others_are_refused(option: str) -> None:
    with pytest.raises(InvalidRequest, match="unknown") as caught:
        PolicySpec.parse(f"owner/model?{option}")
    assert "max_pixels=N" in caught.value.fix


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(InvalidRequest) as caught:
        PolicySpec.parse("endpoint:https://gpu-box/v1?token=s3cret")
    assert "s3cret" not in str(caught.value) + caught.value.fix


def test_four_bits_need_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    PolicySpec.parse("owner/model").require_packages()
    monkeypatch.setattr("ibisagent.policies.optional_package.find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="bitsandbytes") as caught:
        PolicySpec.parse("owner/model?four_bit=true").require_packages()
    assert "uv pip install bitsandbytes" in caught.value.fix
