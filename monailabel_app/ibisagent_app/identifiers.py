"""Names of images, labels, tags and sessions: what may become part of a path.

MONAI Label joins them to its folders as they come.
"""

from __future__ import annotations

import re

from ibisagent_app.errors import InvalidIdentifier

MAX_LENGTH = 200
"""Characters; file systems allow 255 with the suffix."""

_FORBIDDEN = re.compile(r"[/\\\x00-\x1f\x7f]")


def check_identifier(kind: str, name: str) -> str:
    """Refuse a name that is more than a name.

    Args:
        kind: What it names, for the message: ``image``, ``tag``, ...
        name: As the client sent it, decoded.

    Returns:
        The name.

    Raises:
        InvalidIdentifier: It holds a separator or a control character, is made of dots alone,
            or is empty or too long.
    """
    if name.strip(". ") and len(name) <= MAX_LENGTH and not _FORBIDDEN.search(name):
        return name
    raise InvalidIdentifier(
        f"{name[:40]!r} is no valid name for {kind}.",
        f"Use 1 to {MAX_LENGTH} characters other than slashes and control characters, and not "
        "dots alone; GET /datastore/?output=all lists the images.",
    )
