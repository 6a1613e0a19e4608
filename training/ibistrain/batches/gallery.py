"""A corpus in the memory of a device: pictures, labels, and what each label answers for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import torch
from torch import Tensor

from ibisagent.errors import InvalidRequest
from ibistrain.labelled_picture import MAX_SIDE, LabelledPicture

IDS = 256
"""Label ids are bytes."""


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures of equal storage size, each in the upper left corner of a square.

    Attributes:
        names: Every target that any picture answers for; a target's number is its place here.
        pictures: Axes (picture, channel, row, column), uint8, `MAX_SIDE` x `MAX_SIDE`.
        labels: Label ids, axes (picture, row, column), uint8.
        sizes: (height, width) of each picture in its square, axes (picture, 2).
        kinds: Which rows of `table` are a picture's, axis (picture).
        table: Whether a label id is part of a target, axes (kind, target, id).
        known: Whether labels of a kind answer for a target, axes (kind, target).
        never: Whether pictures of a kind are known never to show a target, likewise.
        chances: How likely each picture is drawn, axis (picture); sums to 1.
        flips: Whether mirror images are harmless, axis (picture).
        sets: Set of each picture.
    """

    names: tuple[str, ...]
    pictures: Tensor
    labels: Tensor
    sizes: Tensor
    kinds: Tensor
    table: Tensor
    known: Tensor
    never: Tensor
    chances: Tensor
    flips: Tensor
    sets: tuple[str, ...]

    @classmethod
    def of(
        cls,
        pictures: Sequence[LabelledPicture],
        weights: Mapping[str, float],
        device: torch.device | str = "cpu",
    ) -> Gallery:
        """Bring pictures to a device.

        A picture is drawn by set (`weights`), then by subject, then by chance; one that shows no
        target is never drawn.

        Args:
            pictures: At least one of them must show a target.
            weights: Weight of each set; 1 where not given.
            device: Where.

        Raises:
            InvalidRequest: None of them shows one.
        """
        names = tuple(sorted({name for picture in pictures for name in picture.targets}))
        tables = list(dict.fromkeys(_key(picture) for picture in pictures))
        number = {key: place for place, key in enumerate(tables)}
        squares = torch.zeros(len(pictures), 3, MAX_SIDE, MAX_SIDE, dtype=torch.uint8)
        labels = torch.zeros(len(pictures), MAX_SIDE, MAX_SIDE, dtype=torch.uint8)
        for place, picture in enumerate(pictures):
            height, width = picture.labels.shape
            rgb = torch.from_numpy(picture.rgb.copy())
            squares[place, :, :height, :width] = rgb.permute(2, 0, 1)
            labels[place, :height, :width] = torch.from_numpy(picture.labels.copy())
        table, known, never = _tables(tables, names)
        return cls(
            names=names,
            pictures=squares.to(device),
            labels=labels.to(device),
            sizes=torch.tensor([picture.labels.shape for picture in pictures]).to(device),
            kinds=torch.tensor([number[_key(picture)] for picture in pictures]).to(device),
            table=table.to(device),
            known=known.to(device),
            never=never.to(device),
            chances=_chances(pictures, weights).to(device),
            flips=torch.tensor([picture.flip for picture in pictures]).to(device),
            sets=tuple(picture.set_name for picture in pictures),
        )

    @property
    def device(self) -> torch.device:
        """Where the pictures lie."""
        return self.pictures.device

    @cached_property
    def fingerprint(self) -> str:
        """Tells this corpus from others: its pictures, labels and names, in their order."""
        digest = sha256(repr((self.names, self.sets)).encode())
        for part in (self.sizes, self.pictures, self.labels, self.kinds, self.table):
            digest.update(part.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def draw(self, count: int, generator: torch.Generator, among: Tensor | None = None) -> Tensor:
        """Numbers of pictures at random, axis (drawn).

        Args:
            count: How many.
            generator: Of the same device.
            among: Numbers to draw from; all if not given.
        """
        if among is None:
            return torch.multinomial(self.chances, count, replacement=True, generator=generator)
        chosen = torch.multinomial(self.chances[among], count, True, generator=generator)
        return among[chosen]

    def masks(self, drawn: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        """Masks of targets in warped labels, bool, axes (drawn, target, row, column).

        Args:
            drawn: Numbers of the pictures.
            labels: Their label ids, axes (drawn, row, column).
            targets: Numbers of targets, axes (drawn, target).
        """
        lookup = self.table[self.kinds[drawn][:, None], targets]
        flat = labels.flatten(1).long()[:, None].expand(-1, targets.shape[1], -1)
        found: Tensor = lookup.gather(2, flat).view(*targets.shape, *labels.shape[1:])
        return found

    def areas(self, drawn: Tensor, labels: Tensor) -> Tensor:
        """Share of the picture that each target covers, axes (drawn, target)."""
        counts = torch.zeros(len(drawn), IDS, device=labels.device)
        flat = labels.flatten(1).long()
        counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=counts.dtype))
        shares = counts / flat.shape[1]
        return torch.einsum("nti,ni->nt", self.table[self.kinds[drawn]].float(), shares)


_Key = tuple[tuple[str, tuple[int, ...]], ...]


def _key(picture: LabelledPicture) -> _Key:
    return tuple(sorted(picture.targets.items()))


def _tables(tables: Sequence[_Key], names: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    table = torch.zeros(len(tables), len(names), IDS, dtype=torch.bool)
    known = torch.zeros(len(tables), len(names), dtype=torch.bool)
    never = torch.zeros_like(known)
    number = {name: place for place, name in enumerate(names)}
    for kind, key in enumerate(tables):
        for name, ids in key:
            table[kind, number[name], list(ids)] = True
            (known if ids else never)[kind, number[name]] = True
    return table, known, never


def _chances(pictures: Sequence[LabelledPicture], weights: Mapping[str, float]) -> Tensor:
    shown = [bool(picture.present) for picture in pictures]
    owners = [(picture.set_name, picture.subject) for picture in pictures]
    each = Counter(owner for owner, show in zip(owners, shown, strict=True) if show)
    subjects = Counter(name for name, _ in each)
    chances = torch.tensor(
        [
            weights.get(owner[0], 1.0) / (subjects[owner[0]] * each[owner]) if show else 0.0
            for owner, show in zip(owners, shown, strict=True)
        ]
    )
    if not chances.any():
        raise InvalidRequest(
            "No picture of the corpus shows a target.",
            "Add labelled pictures, or name their labels in the catalogue.",
        )
    return chances / chances.sum()
