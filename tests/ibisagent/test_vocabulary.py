"""Which target a prompt asks for, and the sentence for those that a model does not know."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibisagent.errors import UnknownPrompt
from ibisagent.vocabulary import check_prompt, find_target

unhurried = settings(deadline=None)  # wall time says more of the machine than of the code

TARGETS = ("kidney left", "kidney right", "kidney", "pancreas", "urinary bladder", "lens", "ribs")


@pytest.mark.parametrize(
    ("prompt", "target"),
    [
        ("kidney left", "kidney left"),
        ("the left kidney, please", "kidney left"),
        ("Segment the RIGHT-KIDNEY!", "kidney right"),
        ("kidney_left", "kidney left"),
        ("both kidneys", "kidney"),
        ("the left kidneys", "kidney left"),
        ("pancreas", "pancreas"),
        ("is there a pancreas?", "pancreas"),
        ("bladder (urinary)", "urinary bladder"),
        ("lens", "lens"),
        ("rib", "ribs"),
        ("bladder", None),
        ("left", None),
        ("kidneystone", None),
        ("spleen", None),
        ("", None),
        ("...", None),
    ],
)
def test_find_target(prompt: str, target: str | None) -> None:
    assert find_target(prompt, TARGETS) == target


def test_other_scripts_are_words_too() -> None:
    assert find_target("Bitte die Nebenhöhle", ["Nebenhöhle"]) == "Nebenhöhle"
    assert find_target("почка", ["печень", "почка"]) == "почка"
    assert find_target("the liver", ["печень"]) is None


@unhurried
@given(st.text())
def test_any_text_is_a_known_target_or_none(prompt: str) -> None:
    assert find_target(prompt, TARGETS) in (*TARGETS, None)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_finds_itself(target: str) -> None:
    assert find_target(target, TARGETS) == target
    check_prompt(f"Show me the {target.upper()}.", TARGETS)


def test_an_unknown_prompt_is_told_what_there_is() -> None:
    with pytest.raises(UnknownPrompt, match="'the spleen'") as caught:
        check_prompt("the spleen", ["pancreas", "kidney"])
    assert "kidney, pancreas" in caught.value.fix


def test_a_model_without_a_list_takes_any_prompt() -> None:
    check_prompt("the spleen", [])
    assert find_target("the spleen", []) is None
