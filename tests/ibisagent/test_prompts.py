"""Prompt profiles: what a policy reads, and what a broken profile is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibisagent.errors import InvalidProfile, UnknownPrompt
from ibisagent.prompts import PROFILE_FILE, PromptProfile, load_profile, shipped_profiles

unhurried = settings(deadline=None)  # wall time says more of the machine than of the code

MINIMAL = 'name: own\nfirst: "Find {prompt}"\nrefine: "Refine {prompt}"\n'


def profile(**fields: object) -> PromptProfile:
    return PromptProfile.model_validate(
        {"name": "test", "first": "Find {prompt}", "refine": "Refine {prompt}", **fields}
    )


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_profiles_load(name: str) -> None:
    loaded = load_profile(name)
    assert loaded.name == name
    assert loaded.system
    assert loaded.turn_text("kidney", first=True) != loaded.turn_text("kidney", first=False)


def test_the_default_profile_names_the_tags_and_the_published_overlay() -> None:
    default = load_profile()
    assert all(tag in default.system for tag in ("<think>", "<action>", "<answer>"))
    assert default.overlay_colour == (34, 139, 34)
    assert default.overlay_alpha == 0.4
    assert not default.history


def test_a_file_and_a_checkpoint_folder_bring_their_own(tmp_path: Path) -> None:
    (tmp_path / PROFILE_FILE).write_text(MINIMAL, encoding="utf-8")
    assert load_profile(tmp_path).name == "own"
    assert load_profile(tmp_path / PROFILE_FILE) == load_profile(str(tmp_path))


def test_a_folder_of_that_name_does_not_hide_a_shipped_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "default").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_profile("default").name == "default"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file"),
        ("- a list", "the file"),
        ("name: [", "prompt profile"),
        ('name: x\nfirst: "a"\nrefine: "{prompt}"\n', "first: .*must contain {prompt}"),
        ('name: x\nfirst: "{prompt}"\nrefine: "{ prompt }"\n', "refine: .*must contain"),
        ('name: x\nfirst: "{prompt}"\n', "refine: Field required"),
        ('first: "{prompt}"\nrefine: "{prompt}"\n', "name: Field required"),
        (MINIMAL + "colour: red\n", "colour: Extra inputs"),
        (MINIMAL + "overlay_alpha: 0\n", "overlay_alpha"),
        (MINIMAL + "wording: loud\n", "wording"),
        (MINIMAL + "overlay_alpha: 1.5\n", "overlay_alpha"),
        (MINIMAL + "overlay_colour: [0, 0, 256]\n", r"overlay_colour\.2"),
        (MINIMAL + "overlay_colour: [0, 0]\n", "overlay_colour"),
        (MINIMAL + "history: often\n", "history"),
        ("a: !!python/object/apply:os.getcwd []\n", "prompt profile"),
    ],
)
def test_a_broken_profile_is_told_what_is_wrong(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidProfile, match=reason) as caught:
        load_profile(path)
    assert "'default'" in caught.value.fix


def test_a_profile_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidProfile, match="cannot be read"):
        load_profile(path)


@pytest.mark.parametrize("name", ["nonsense", "", "../default", "x" * 5000, "a\0b"])
def test_an_unknown_profile_names_those_there_are(name: str) -> None:
    with pytest.raises(InvalidProfile) as caught:
        load_profile(name)
    assert "no prompt profile" in caught.value.message or "cannot be read" in caught.value.message
    assert "Give a" in caught.value.fix


def test_a_checkpoint_folder_without_a_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidProfile, match="no prompt profile"):
        load_profile(tmp_path)


@unhurried
@given(st.text())
def test_the_users_text_stands_unchanged(prompt: str) -> None:
    assert profile().turn_text(prompt, first=True) == f"Find {prompt}"
    assert profile().turn_text(prompt, first=False) == f"Refine {prompt}"


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("please outline the kidney left", "please outline the kidney left"),
        ("Kidney_L", "the kidney left"),
        ("cell nuclei", "the nucleus"),
        ("renal cyst", "renal cyst"),
    ],
)
def test_a_model_with_a_vocabulary_reads_the_names_that_it_has_learnt(
    prompt: str, read: str
) -> None:
    own = profile(targets=("kidney left", "nucleus"), aliases={"nucleus": ("karyon",)})
    assert own.turn_text(prompt, first=True) == f"Find {read}"
    assert own.turn_text(prompt, first=False) == f"Refine {read}"
    assert (own.find_target(prompt) is None) == (prompt == "renal cyst")


def test_a_prompt_for_something_else_is_refused() -> None:
    own = profile(targets=("kidney left",))
    with pytest.raises(UnknownPrompt):
        own.check_prompt("the liver")
    assert not own.understands("the liver")
    assert own.understands("the left kidney")
    profile().check_prompt("the liver")
    assert profile().understands("the liver")


def test_braces_are_nobodys_business() -> None:
    own = profile(first='{"task": "{prompt}"} {0}', refine="{prompt} {prompt}")
    assert own.turn_text("{x}", first=True) == '{"task": "{x}"} {0}'
    assert own.turn_text("a", first=False) == "a a"


def roles(messages: list[dict[str, object]]) -> list[object]:
    return [message["role"] for message in messages]


def test_without_history_only_the_present_turn_is_shown() -> None:
    chat = profile(system="Be careful.").messages(["one", "two", "three"], ["r1", "r2"])
    assert chat == [
        {"role": "system", "content": [{"type": "text", "text": "Be careful."}]},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "three"}]},
    ]


def test_with_history_turns_and_replies_alternate() -> None:
    chat = profile(system="Be careful.", history=True).messages(["one", "two"], ["r1"])
    assert roles(chat) == ["system", "user", "assistant", "user"]
    assert chat[2] == {"role": "assistant", "content": [{"type": "text", "text": "r1"}]}
    images = [part for message in chat for part in message["content"] if part["type"] == "image"]
    assert len(images) == 2


def test_without_a_system_text_there_is_no_system_message() -> None:
    assert roles(profile().messages(["one"], [])) == ["user"]


def test_a_profile_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="frozen"):
        profile().name = "other"  # type: ignore[misc]
