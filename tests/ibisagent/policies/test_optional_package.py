"""Packages that may be missing."""

from __future__ import annotations

import pytest

from ibisagent.errors import MissingPackage
from ibisagent.policies.optional_package import require_package


def test_what_is_there_is_not_asked_for() -> None:
    require_package("numpy", "Counting")


def test_what_is_missing_is_named_with_the_fix() -> None:
    with pytest.raises(MissingPackage, match="Flying needs the package no_such_wings") as caught:
        require_package("no_such_wings", "Flying")
    assert caught.value.fix.endswith("in the environment of ibisagent.")
    with pytest.raises(MissingPackage) as caught:
        require_package("no_such_wings", "Flying", "walk")
    assert caught.value.fix.endswith("or walk.")
