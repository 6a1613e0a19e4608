"""The field ``params`` of MONAI Label's forms: JSON as text."""

from __future__ import annotations

import json
from typing import Any

from ibisagent.errors import InvalidRequest
from ibisagent_app.checked_route import MAX_PARAMS, params_too_large

_EXAMPLE = 'Send an object such as {"prompt": "the liver"}.'


def parse_params(text: str, name: str = "params") -> dict[str, Any]:
    """The fields of ``params``, or of another field of a form that holds JSON.

    Raises:
        InvalidRequest: Not JSON, or not an object.
        RequestTooLarge: Over `MAX_PARAMS`.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_PARAMS:
        raise params_too_large()
    try:
        fields = json.loads(text or "{}", parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{name} is not JSON: {error}.", _EXAMPLE) from error
    if not isinstance(fields, dict):
        kind = type(fields).__name__
        raise InvalidRequest(f"{name} is a JSON {kind}, not an object.", _EXAMPLE)
    return fields


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
