"""The untrained checkpoint from which the embedded policy is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from random import Random

import yaml

from ibisagent.prompts import PROFILE_FILE, PromptProfile, load_profile
from ibistrain import tiny
from ibistrain.batches.answers import Kind
from ibistrain.batches.scripts import reply_text
from ibistrain.catalogue import Catalogue
from ibistrain.labelled_picture import LabelledPicture
from ibistrain.questions import names, phrases

SHARES = (0.005, 0.05, 0.2)
"""Of the picture: a small, a medium sized and a large target."""


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
        seed: Of the weights.
    """
    profile = embedded_profile(pictures, catalogue)
    targets = sorted({name for picture in pictures for name in picture.targets})
    tiny.build(folder, texts(targets, catalogue.synonyms, profile), size, seed)
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
    anywhere = tuple(name for name in catalogue.anywhere if name in targets)
    return profile.model_copy(
        update={"targets": tuple(sorted(known)), "aliases": aliases, "anywhere": anywhere}
    )


def texts(
    names_of: Sequence[str], synonyms: Mapping[str, Sequence[str]], profile: PromptProfile
) -> Iterator[str]:
    """All that the policy will read and write, but for the numbers in its clicks.

    Args:
        names_of: The targets.
        synonyms: Other words for them.
        profile: The prompt profile.
    """
    rng = Random(0)
    middles = (1 / 6, 1 / 2, 5 / 6)
    places = [(share, row, column) for share in SHARES for row in middles for column in middles]
    for target in names_of:
        for prompt in phrases(target, synonyms):
            yield profile.turn_text(prompt, first=True)
            yield profile.turn_text(prompt, first=False)
        for kind in Kind:
            for place in places:
                yield reply_text(target, (kind, rng.random(), rng.random(), *place), rng)
