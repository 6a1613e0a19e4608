"""What a client may send as ``params``, and how it becomes a `SegmentRequest`.

MONAI Label clients build their form from a task's ``config`` (text gives a text field, a list a
combo box) and send back what stands there: text where a number is meant, an empty text for
"not given", and from some clients the whole list where nobody chose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ibisagent.errors import InvalidRequest
from ibisagent.segment import Method, Scope, SegmentRequest
from ibisagent.slices import Plane
from ibisagent.windows import AUTO, PRESETS

RESULT_EXTENSION = ".nrrd"
"""Format of the mask where the client names none; every MONAI Label client reads it."""

OF_CLIENTS = frozenset(
    {
        "client_id",
        "label_info",
        "label_tag",
        "result_compress",
        "result_dtype",
        "result_extension",
        "save_label",
    }
)
"""Fields that MONAI Label and its clients add; beside those of `SegmentRequest`."""

DECIDED_ELSEWHERE = {
    "device": "The device is chosen when the server starts: --conf device NAME.",
    "file": "Upload a file as the form field 'file'.",
    "image": "Name the image in the address: /infer/MODEL?image=ID.",
    "image_id": "Name the image in the address: /infer/MODEL?image=ID.",
    "label": "Leave it out.",
    "model": "Name the model in the address: /infer/MODEL.",
    "policy": "The policy is chosen when the server starts: --conf policy NAME.",
    "prompts": "The prompts are chosen when the server starts: --conf prompts FILE.",
    "session": "Name the session in the address: ?session_id=ID.",
    "tool": "The tool is chosen when the server starts: --conf tool NAME.",
}
"""Fields that would override what the address, the form or the server's start decides."""


def client_options(max_steps: int) -> dict[str, Any]:
    """The task's ``config``: what MONAI Label clients show as form."""
    return {
        "prompt": "",
        "plane": [plane.value for plane in Plane if plane is not Plane.PICTURE],
        "slice": "",
        "scope": [Scope.SLICE.value, Scope.VOLUME.value],  # a form has no room for a range
        "method": [method.value for method in Method],
        "clean": "",
        "window": [AUTO, *PRESETS],
        "max_steps": max_steps,
    }


def check_overrides(params: Mapping[str, Any]) -> None:
    """Refuse fields that would override what is decided elsewhere, for any model.

    Raises:
        InvalidRequest: With the first such field.
    """
    for name in params:
        if name in DECIDED_ELSEWHERE:
            raise InvalidRequest(
                f"The field {name!r} may not be set in params.", DECIDED_ELSEWHERE[name]
            )


def check_known(params: Mapping[str, Any]) -> None:
    """Refuse fields that mean nothing to the agent, so that a typing error is noticed.

    Raises:
        InvalidRequest: With the first such field.
    """
    known = SegmentRequest.model_fields.keys() | OF_CLIENTS
    for name in params:
        if name not in known:
            raise InvalidRequest(
                f"The field {name!r} is unknown.", f"Known fields: {', '.join(sorted(known))}."
            )


def to_request(params: Mapping[str, Any], max_steps: int) -> SegmentRequest:
    """The request in a client's fields.

    Args:
        params: May hold other fields as well.
        max_steps: Used where the client names none.

    Raises:
        InvalidRequest: With the first field that does not fit, and what would.
    """
    names = [name for name in SegmentRequest.model_fields if name in params]
    given = {name: _chosen(name, params[name]) for name in names}
    filled = {name: value for name, value in given.items() if value not in ("", None)}
    if "prompt" not in filled:
        raise InvalidRequest(
            "The prompt is empty.", 'Say in params what to segment: {"prompt": "the liver"}.'
        )
    return SegmentRequest.parse({"max_steps": max_steps, **filled})


def _chosen(name: str, value: Any) -> Any:
    """The first of an unused combo box; text without blanks around it."""
    if name in _COMBO_BOXES and isinstance(value, list):
        value = value[0] if value else ""
    return value.strip() if isinstance(value, str) else value


_COMBO_BOXES = {name for name, option in client_options(1).items() if isinstance(option, list)}
