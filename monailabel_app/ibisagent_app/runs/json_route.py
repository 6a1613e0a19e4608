"""A route whose body is a small JSON object."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response

from ibisagent.errors import InvalidRequest
from ibisagent_app.checked_route import NamedErrorsRoute
from ibisagent_app.errors import RequestTooLarge, named_http_errors

MAX_BYTES = 2**20
"""Of a body."""


class JsonRoute(NamedErrorsRoute):
    """Refuses bodies that are long, or no JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind a look at the body's length and type."""
        handle = super().get_route_handler()

        async def handle_checked(request: Request) -> Response:
            with named_http_errors():
                _check(request)
                return await handle(request)

        return handle_checked


def _check(request: Request) -> None:
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BYTES:
        raise RequestTooLarge("The body is over 1 MiB.", "Send only the fields that are needed.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "application/json") and length != "0":
        raise InvalidRequest(
            f"A body of type {kind} is not read.",
            "Send a JSON object, with the header 'Content-Type: application/json'.",
        )
