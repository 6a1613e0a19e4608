"""The checkpoint and the profile that the embedded policy starts with."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from ibisagent.prompts import load_profile
from ibistrain.batches.answers import Kind
from ibistrain.batches.scripts import reply_text
from ibistrain.catalogue import Catalogue, load_catalogue
from ibistrain.labelled_picture import LabelledPicture
from ibistrain.questions import ask
from ibistrain.starting_point import embedded_profile, texts, write_starting_point
from ibistrain.tiny import TinySize

SMALL = TinySize(
    picture=64,
    vision_width=32,
    vision_layers=1,
    vision_heads=2,
    text_width=32,
    text_layers=3,
    text_heads=2,
    text_kv_heads=1,
    vocabulary=400,
)


@pytest.fixture(scope="module")
def spelled(start: Path, pictures: list[LabelledPicture], catalogue: Catalogue) -> set[str]:
    """All texts of the synthetic corpus."""
    return set(texts(sorted(pictures[0].targets), catalogue.synonyms, load_profile(start)))


def sentences(text: str) -> set[str]:
    """Without numbers."""
    return set(re.split(r"<[^>]*>|(?<=\.) ", re.sub(r"\d\.\d+", "#", text)))


def test_the_profile_knows_names_synonyms_and_aliases_of_what_the_pictures_show(
    pictures: list[LabelledPicture],
) -> None:
    aliases = {"star": ("asterisk",), "moon": ("crescent",)}
    catalogue = Catalogue(sets={}, synonyms={"disc": ("circle",)}, aliases=aliases)
    profile = embedded_profile(pictures, catalogue)
    assert profile.targets == ("circle", "disc", "left square", "square left", "star", "thing")
    assert profile.aliases == {"star": ("asterisk",)}
    assert profile.turn_text("the circle", first=True).endswith("the circle")
    assert profile.turn_text("an Asterisk", first=True).endswith("the star")


def test_the_profile_knows_what_may_be_anywhere(pictures: list[LabelledPicture]) -> None:
    catalogue = Catalogue(sets={}, synonyms={}, anywhere=("star", "moon"))
    profile = embedded_profile(pictures, catalogue)
    assert profile.anywhere == ("star",)
    assert profile.find_target("is there a star?") == "star"
    assert profile.find_target("the star of the liver") is None


def test_no_alias_of_the_catalogue_takes_another_targets_name() -> None:
    """An alias that is itself a learnt name would never be read as what it stands for."""
    catalogue = load_catalogue()
    learnt = {name.lower() for more in catalogue.synonyms.values() for name in more}
    learnt |= {name.lower() for name in catalogue.synonyms}
    other = [name for more in catalogue.aliases.values() for name in more]
    assert not learnt & {name.lower() for name in other}
    assert len(other) == len(set(other))


def test_every_question_is_among_the_texts(
    start: Path, pictures: list[LabelledPicture], catalogue: Catalogue, spelled: set[str]
) -> None:
    rng, profile = Random(0), load_profile(start)
    for _ in range(200):
        prompt = ask(rng.choice(sorted(pictures[0].targets)), catalogue.synonyms, rng)
        assert profile.turn_text(prompt, first=True) in spelled
        assert profile.turn_text(prompt, first=False) in spelled


def test_every_sentence_of_a_reply_is_among_the_texts(spelled: set[str]) -> None:
    rng, known = Random(0), set().union(*map(sentences, spelled))
    for _ in range(400):
        share = rng.choice([0.004, 0.04, 0.4])
        told = (rng.choice([*Kind]), rng.random(), rng.random(), share, rng.random(), rng.random())
        assert sentences(reply_text("square left", told, rng)) <= known


def test_the_written_checkpoint_reads_its_texts_in_few_tokens(start: Path) -> None:
    tokenizer = AutoProcessor.from_pretrained(start).tokenizer
    told = (Kind.MISSED, 0.123, 0.456, 0.05, 0.1, 0.1)
    text = reply_text("square left", told, Random(0))
    ids = tokenizer(text).input_ids
    assert tokenizer.decode(ids) == text
    assert len(ids) < 0.4 * len(text)


def test_the_seed_decides_the_weights(
    pictures: list[LabelledPicture], catalogue: Catalogue, tmp_path: Path
) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        write_starting_point(tmp_path / name, pictures, catalogue, SMALL, seed)
    one, again, other = (
        load_file(tmp_path / name / "model.safetensors") for name in ("one", "again", "other")
    )
    assert all(torch.equal(value, again[name]) for name, value in one.items())
    assert not all(torch.equal(value, other[name]) for name, value in one.items())
    assert load_profile(tmp_path / "one") == embedded_profile(pictures, catalogue)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "one")
    assert model.config.text_config.hidden_size == 32
    assert len(model.model.visual.blocks) == 1
