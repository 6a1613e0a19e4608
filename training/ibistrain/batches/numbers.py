"""Numbers in place of examples: a batch's number decides all about it, on whichever device."""

from __future__ import annotations

from collections.abc import Sequence

from torch.utils.data import Dataset


class Numbers(Dataset[int]):
    """The numbers of a run's batches.

    Args:
        count: How many batches the run has.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> int:
        return index


def number_of(numbers: Sequence[int]) -> dict[str, int]:
    """What the trainer hands on: the number of one batch."""
    return {"number": numbers[0]}
