"""The catalogue: which sets the embedded policy learns from, and under which names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict, Field


class SetEntry(BaseModel):
    """How one data set is used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float = Field(default=1.0, gt=0, description="How often the set is drawn.")
    planes: dict[str, int] = Field(default={"axial": 2}, description="Plane to slice step.")
    flip: bool = Field(default=False, description="Whether left and right may be exchanged.")
    only: tuple[str, ...] | None = Field(default=None, description="Labels to use; all if None.")
    derived: dict[str, tuple[str, ...]] = Field(default={}, description="Unions by pattern.")
    never: tuple[str, ...] = Field(
        default=(), description="Groups and patterns of targets that no image of the set shows."
    )

    def targets(self, labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Targets of an image with these labels.

        Args:
            labels: Names of all labels that the image may carry.

        Returns:
            Target name to the labels whose union it is.
        """
        plain = {name: (name,) for name in labels if self.only is None or name in self.only}
        unions = {
            target: tuple(name for name in labels if any(fnmatch(name, p) for p in patterns))
            for target, patterns in self.derived.items()
        }
        return {name: parts for name, parts in {**plain, **unions}.items() if parts}


class Catalogue(BaseModel):
    """All sets, and other words for their targets: those to train on, and more to understand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sets: dict[str, SetEntry]
    synonyms: dict[str, tuple[str, ...]]
    aliases: dict[str, tuple[str, ...]] = {}
    anywhere: tuple[str, ...] = ()
    groups: dict[str, tuple[str, ...]] = {}

    def never(self, set_name: str, targets: Iterable[str]) -> frozenset[str]:
        """Which of some targets no image of a set shows.

        Args:
            set_name: Of a set that is not among `sets` nothing is known.
            targets: Of all sets.
        """
        named = self.sets[set_name].never if set_name in self.sets else ()
        patterns = [pattern for name in named for pattern in self.groups.get(name, (name,))]
        return frozenset(t for t in targets if any(fnmatch(t, pattern) for pattern in patterns))


def load_catalogue() -> Catalogue:
    """The catalogue inside the package."""
    text = (resources.files("ibistrain") / "data" / "catalogue.yaml").read_text(encoding="utf-8")
    return Catalogue.model_validate(yaml.safe_load(text))
