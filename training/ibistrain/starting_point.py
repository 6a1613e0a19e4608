"""The untrained checkpoint from which the embedded policy is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from random import Random

import yaml

from ibisagent.prompts import PROFILE_FILE, PromptProfile, load_profile
from ibistrain import tiny
from ibistrain.catalogue import Catalogue
from ibistrain.corpus import LabelledPicture
from ibistrain.examples import ExampleMaker
from ibistrain.questions import names, phrases

REPLIES = 1500
"""Simulated replies from which the tokenizer learns its words."""


def write_starting_point(
    folder: Path,
    pictures: Sequence[LabelledPicture],
    catalogue: Catalogue,
    size: tiny.TinySize | None = None,
    seed: int = 0,
) -> None:
    """Build the untrained checkpoint, with tokenizer and prompt profile for these pictures.

    Args:
        folder: Where; made if missing.
        pictures: The training side of the corpus.
        catalogue: Other words for targets.
        size: Dimensions; those of the embedded policy if not given.
        seed: Of weights and texts.
    """
    profile = embedded_profile(pictures, catalogue)
    tiny.build(folder, _texts(pictures, catalogue, profile, Random(seed)), size, seed)
    text = yaml.safe_dump(profile.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    (folder / PROFILE_FILE).write_text(text, encoding="utf-8")


def embedded_profile(pictures: Sequence[LabelledPicture], catalogue: Catalogue) -> PromptProfile:
    """The embedded profile, with every name that the pictures can answer for, and aliases."""
    source = resources.files("ibistrain") / "data" / "embedded_prompts.yaml"
    with resources.as_file(source) as file:
        profile = load_profile(file)
    targets = {target for picture in pictures for target in picture.targets}
    known = {name for target in targets for name in names(target, catalogue.synonyms)}
    aliases = {name: more for name, more in catalogue.aliases.items() if name in targets}
    return profile.model_copy(update={"targets": tuple(sorted(known)), "aliases": aliases})


def _texts(
    pictures: Sequence[LabelledPicture], catalogue: Catalogue, profile: PromptProfile, rng: Random
) -> Iterator[str]:
    for target in sorted({name for picture in pictures for name in picture.targets}):
        for prompt in phrases(target, catalogue.synonyms):
            yield profile.turn_text(prompt, first=True)
            yield profile.turn_text(prompt, first=False)
    maker = ExampleMaker(profile, catalogue.synonyms)
    askable = [picture for picture in pictures if picture.present]
    for _ in range(REPLIES):
        yield from (turn.reply for turn in maker.first(rng.choice(askable), rng).turns)
