"""Which targets a set shows, and which it never does."""

from __future__ import annotations

from pathlib import Path

import pytest

from ibisagent.manifest import load_manifest
from ibistrain.catalogue import Catalogue, SetEntry, load_catalogue

HEAD = SetEntry(derived={"lesion": ("* tumour",)}, never=("belly", "femur*"))
CATALOGUE = Catalogue(
    sets={"head": HEAD, "any": SetEntry()},
    synonyms={},
    groups={"belly": ("liver", "kidney*")},
)


def test_unions_are_of_the_labels_that_match() -> None:
    targets = HEAD.targets(["brain tumour", "skull"])
    assert targets["lesion"] == ("brain tumour",)
    assert set(targets) == {"brain tumour", "skull", "lesion"}


def test_what_a_set_never_shows_is_named_by_groups_and_patterns() -> None:
    names = ["liver", "kidney", "kidney left", "femur right", "brain", "spleen"]
    assert CATALOGUE.never("head", names) == {"liver", "kidney", "kidney left", "femur right"}
    assert CATALOGUE.never("any", names) == set()


@pytest.fixture(scope="module")
def shown(data_dir: Path) -> dict[str, set[str]]:
    """Targets of each set of the package's catalogue."""
    return {
        name: {
            target
            for item in load_manifest(data_dir / name).items
            for target in entry.targets(item.labels)
        }
        for name, entry in load_catalogue().sets.items()
    }


def test_no_set_shows_what_it_is_said_never_to_show(shown: dict[str, set[str]]) -> None:
    catalogue = load_catalogue()
    every = set().union(*shown.values())
    for name, own in shown.items():
        assert not catalogue.never(name, every) & own
        assert catalogue.never(name, every)


def test_every_group_is_used_and_every_pattern_means_something(shown: dict[str, set[str]]) -> None:
    catalogue = load_catalogue()
    every = set().union(*shown.values())
    used = {name for entry in catalogue.sets.values() for name in entry.never}
    assert set(catalogue.groups) <= used
    alone = used - set(catalogue.groups)
    for pattern in alone | {p for group in catalogue.groups.values() for p in group}:
        one = Catalogue(sets={"": SetEntry(never=(pattern,))}, synonyms={})
        assert one.never("", every), pattern
