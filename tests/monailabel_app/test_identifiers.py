from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibisagent_app.errors import InvalidIdentifier
from ibisagent_app.identifiers import MAX_LENGTH, check_identifier


@pytest.mark.parametrize(
    "name", ["ct_1", "1.2.840.113619", "patient 7 (left)", ".hidden", "Ünïcödé", "a..b", "x" * 200]
)
def test_names_pass_unchanged(name: str) -> None:
    assert check_identifier("image", name) == name


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "...", ". .", "a/b", "/a", "\\a", "a\x00", "a\n", "\x7f", "x" * 201],
)
def test_anything_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidIdentifier, match="image") as caught:
        check_identifier("image", name)
    assert str(MAX_LENGTH) in caught.value.fix


@given(st.text())
def test_what_passes_stays_in_its_folder(name: str) -> None:
    folder = Path("studies").absolute()
    try:
        check_identifier("image", name)
    except InvalidIdentifier:
        return
    assert (folder / name).parent == folder
    assert (folder / name).name == name
