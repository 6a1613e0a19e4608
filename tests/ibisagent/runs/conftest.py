from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.run_studies import ClickOnce, Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """Makes a place; its runs are ended after the test."""
    made: list[Place] = []

    def make(policy: object = None, **options: object) -> Place:
        made.append(Place(tmp_path / str(len(made)), policy or ClickOnce(), **options))
        return made[-1]

    yield make
    for one in made:
        for runs in one.all_runs:
            runs.close()
