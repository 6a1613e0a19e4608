"""What a request may decide about a task that MONAI Label runs in a process of its own.

MONAI Label merges the body of the request into what the task is started with.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from ibisagent.errors import InvalidRequest
from ibisagent_app.identifiers import check_identifier

OF_ALL_TASKS = frozenset({"client_id", "device", "gpus", "multi_gpu", "name"})
"""Options that MONAI Label's clients send to any task."""

OF_BATCH = frozenset({"logging", "max_batch_size", "max_workers"})

NEVER = frozenset({"bundle_path", "method", "model"})
"""What the address decides, and the folder that MONAI Label would load code from."""

MAX_WORKERS = 64

_GPUS = re.compile(r"(all|\d{1,3}(,\d{1,3})*)?")


def check_options(options: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse options that a task does not have, and values that reach beyond it.

    Args:
        options: Of a request, by name.
        known: Names of the task's own.

    Raises:
        InvalidRequest: With the first that does not fit.
        InvalidIdentifier: A tag reaches outside its folder.
    """
    allowed = (set(known) | OF_ALL_TASKS) - NEVER
    for name, value in options.items():
        if name not in allowed:
            raise InvalidRequest(
                f"The field {name[:40]!r} may not be set in params.",
                f"Known fields: {', '.join(sorted(allowed))}.",
            )
        if name in ("label_tag", "y", "y_pred"):
            check_identifier(name, str(value))
    _check_gpus(options.get("gpus", ""))
    _check_number("max_workers", options.get("max_workers", 0), MAX_WORKERS)
    _check_number("max_batch_size", options.get("max_batch_size", 0), 10**6)


def _check_gpus(gpus: Any) -> None:
    if gpus is not None and not (isinstance(gpus, str) and _GPUS.fullmatch(gpus)):
        raise InvalidRequest("The field 'gpus' names no devices.", "Send 'all', or '0,1'.")


def _check_number(name: str, value: Any, most: int) -> None:
    number = isinstance(value, int) and not isinstance(value, bool)
    if not number or not 0 <= value <= most:
        raise InvalidRequest(
            f"The field {name!r} does not fit.", f"Send a number from 0 to {most}."
        )
