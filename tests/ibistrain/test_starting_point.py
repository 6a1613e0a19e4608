"""The profile that the embedded policy starts with."""

from __future__ import annotations

from ibistrain.catalogue import Catalogue, load_catalogue
from ibistrain.corpus import LabelledPicture
from ibistrain.starting_point import embedded_profile


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


def test_no_alias_of_the_catalogue_takes_another_targets_name() -> None:
    """An alias that is itself a learnt name would never be read as what it stands for."""
    catalogue = load_catalogue()
    learnt = {name.lower() for more in catalogue.synonyms.values() for name in more}
    learnt |= {name.lower() for name in catalogue.synonyms}
    other = [name for more in catalogue.aliases.values() for name in more]
    assert not learnt & {name.lower() for name in other}
    assert len(other) == len(set(other))
