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


SPINE = ("vertebra", "vertebra L4", "vertebra L5", "disc L4-L5", "disc", "spinal cord")
HEAD = ("brain", "brainstem", "left parotid gland", "nucleus", "subdural haemorrhage")
ALIASES = {"nucleus": ("karyon",), "spleen": ("milt",), "left parotid gland": ("left parotid",)}


@pytest.mark.parametrize(
    ("prompt", "target"),
    [
        ("Kidney_L", "kidney left"),
        ("kidney (rt)", "kidney right"),
        ("vertebrae_L4", "vertebra L4"),
        ("the vertebrae", "vertebra"),
        ("the disk between L4 and L5", "disc L4-L5"),
        ("vertebrae T9", None),
        ("L3/L4 disc", None),
        ("SpinalCord", "spinal cord"),
        ("BrainStem", "brainstem"),
        ("the brain stem", "brainstem"),
        ("whole brain", "brain"),
        ("cell nuclei", "nucleus"),
        ("subdural hemorrhages", "subdural haemorrhage"),
        ("karyon", "nucleus"),
        ("Parotid_L", "left parotid gland"),
        ("parotid", None),
        ("milt", None),
    ],
)
def test_one_name_is_written_in_many_ways(prompt: str, target: str | None) -> None:
    assert find_target(prompt, (*TARGETS, *SPINE, *HEAD), ALIASES) == target


@pytest.mark.parametrize(
    ("prompt", "target"),
    [
        ("pancreatic cyst", None),
        ("a tumour of the pancreas", None),
        ("pancreas metastases", None),
        ("wall of the urinary bladder", None),
        ("optic disc", None),
        ("left adrenal gland", None),
        ("vessels of the brain", None),
        ("thrombus in the spinal canal", None),
        ("nuclei in the pancreas", "nucleus"),
        ("gland of the pancreas", "gland"),
        ("left parotid gland in the brain", "left parotid gland"),
        ("optic disc cup", "optic cup"),
    ],
)
def test_what_is_in_a_target_is_not_the_target(prompt: str, target: str | None) -> None:
    assert find_target(prompt, (*TARGETS, *SPINE, *HEAD, "gland", "optic cup")) == target


FINDINGS = ("lesion", "breast lesion", "tumour region", "liver", "brain tumour")
MORE = {"lesion": ("tumour", "mass"), "brain tumour": ("brain lesion",)}


@pytest.mark.parametrize(
    ("prompt", "target"),
    [
        ("lesion", "lesion"),
        ("is there a lesion, and where?", "lesion"),
        ("Please mark any suspicious lesions in this image.", "lesion"),
        ("find the tumor", "lesion"),
        ("a mass?", "lesion"),
        ("the breast lesion", "breast lesion"),
        ("is there a lesion in the brain?", "brain tumour"),
        ("tumor region", "tumour region"),
        ("skin lesion", None),
        ("a lesion of the liver", None),
        ("liver tumour", None),
        ("the mass in the left lung", None),
        ("hepatic lesion", None),
        ("the liver", "liver"),
    ],
)
def test_a_finding_anywhere_is_asked_for_without_a_place(prompt: str, target: str | None) -> None:
    assert find_target(prompt, FINDINGS, MORE, ["lesion"]) == target


def test_a_finding_of_one_organ_may_be_asked_for_with_it() -> None:
    """A model for liver tumours knows them as "tumour"."""
    assert find_target("the liver tumour", ("liver", "tumour")) == "tumour"


def test_a_level_only_matters_to_what_has_levels() -> None:
    assert find_target("the pancreas on T2", (*TARGETS, *SPINE)) == "pancreas"


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


def test_what_comes_near_is_said_first() -> None:
    with pytest.raises(UnknownPrompt) as caught:
        check_prompt("both kidneys", ["kidney left", "pancreas", "kidney right"])
    assert caught.value.fix.startswith("Did you mean kidney left or kidney right? Ask for one of:")


def test_small_words_bring_nothing_near() -> None:
    with pytest.raises(UnknownPrompt) as caught:
        check_prompt("segment the polyp", ["head of the fetus", "atrium of the heart"])
    assert caught.value.fix.startswith("Ask for one of: atrium of the heart")


def test_a_model_without_a_list_takes_any_prompt() -> None:
    check_prompt("the spleen", [])
    assert find_target("the spleen", []) is None
