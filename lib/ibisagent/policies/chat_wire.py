"""How a turn is written for an OpenAI-compatible server, and how its reply is read."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from ibisagent.policies.base import Observation
from ibisagent.policies.picture_size import fitted
from ibisagent.tools.base import RGB

MIN_SIDE = 64
"""Shorter side of a picture sent, in pixels: two cells of the coarsest vision tower in use.
Servers fail on pictures smaller than one cell, where transformers enlarges them by itself."""

_REASONING = ("reasoning_content", "reasoning")
"""Fields into which servers split off what stands in ``<think>``: the usual and the newer name."""


def wire_messages(seen: Observation, max_pixels: int) -> list[dict[str, Any]]:
    """The chat of an observation with its pictures inside.

    Args:
        seen: One turn.
        max_pixels: Larger pictures are scaled down to this. It is done here because servers
            ignore the limit, or keep one for all clients.
    """
    pictures = iter(seen.pictures)
    return [
        {**message, "content": [_part(part, pictures, max_pixels) for part in message["content"]]}
        for message in seen.messages
    ]


def read_reply(answer: Any) -> str:
    """The reply in a chat completion, with its reasoning back in ``<think>``.

    Raises:
        ValueError: This is no chat completion.
    """
    try:
        message = answer["choices"][0]["message"]
        reasoning = next((message[name] for name in _REASONING if message.get(name)), "")
        content = message.get("content") or ""
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError("no chat completion") from error
    if not (isinstance(reasoning, str) and isinstance(content, str)):
        raise ValueError("the message is no text")
    if not reasoning or "<think>" in content:
        return content
    return f"<think>{reasoning}</think>{content}"


def _part(part: dict[str, Any], pictures: Iterator[RGB], max_pixels: int) -> dict[str, Any]:
    if part["type"] != "image":
        return part
    return {"type": "image_url", "image_url": {"url": _data_url(next(pictures), max_pixels)}}


def _data_url(picture: RGB, max_pixels: int) -> str:
    """PNG, as JPEG would alter what the policy is asked to judge."""
    file = BytesIO()
    fitted(picture, max_pixels, MIN_SIDE).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
