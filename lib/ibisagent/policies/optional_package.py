"""Packages that only some ways of running a policy need."""

from __future__ import annotations

from importlib.util import find_spec

from ibisagent.errors import MissingPackage


def require_package(name: str, purpose: str, otherwise: str = "") -> None:
    """Check that a package is installed, without importing it.

    Args:
        name: Of the package.
        purpose: What needs it, as the subject of a sentence.
        otherwise: What the user can do instead, as the end of a sentence.

    Raises:
        MissingPackage: It is not installed.
    """
    if find_spec(name) is not None:
        return
    fix = f"Run `uv pip install {name}` in the environment of ibisagent"
    raise MissingPackage(
        f"{purpose} needs the package {name}, which is not installed.",
        f"{fix}, or {otherwise}." if otherwise else f"{fix}.",
    )
