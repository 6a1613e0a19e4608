"""Stands in front of the stock routes and turns dangerous requests away.

MONAI Label joins identifiers from the query to its folders, and reads uploads of any length.
What can be told from the first lines of a request is refused here, for every route; what is in
a form or a body is looked at by the routes that take it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from ibisagent.errors import IBISAgentError, InvalidRequest
from ibisagent_app.errors import InvalidIdentifier, LengthRequired, RequestTooLarge
from ibisagent_app.failures import answer_to
from ibisagent_app.identifiers import MAX_LENGTH, check_identifier

IDENTIFIERS = ("id", "image", "label", "session_id", "tag")
"""Names in the query that become part of a path."""

MAX_BODY = 2**30
"""Bytes of a request: a CT of 512 x 512 x 1,000 voxels is half of it before compression."""

_WITH_BODY = ("PATCH", "POST", "PUT")
_CHECKSUM = re.compile(r"((SHA256|SHA512|MD5):)?[0-9A-Fa-f]{32,128}")


class Doorkeeper(BaseRoute):
    """A route that matches the requests to refuse, and no others.

    Args:
        routes: Those behind it, whose queries it knows; none, and every query passes.
    """

    def __init__(self, routes: Sequence[BaseRoute] = ()) -> None:
        self._routes = tuple(routes)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether to refuse; the reason travels in the scope."""
        if scope["type"] != "http":
            return Match.NONE, {}
        try:
            check(scope)
            _check_query(scope, self._routes)
        except IBISAgentError as error:
            return Match.FULL, {"refusal": error}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the reason, without reading the body."""
        error: IBISAgentError = scope["refusal"]
        answer = answer_to(error)
        answer.headers["connection"] = "close"  # the rest of the body is not read
        await answer(scope, receive, send)


def check(scope: Scope) -> None:
    """Check path, query and announced length of a request.

    Raises:
        InvalidIdentifier: A path or a name that could reach outside its folder.
        RequestTooLarge: The body is over `MAX_BODY`.
        LengthRequired: The body's length is not announced.
    """
    _check_path(scope["path"])
    for name, value in _query(scope):
        if name in IDENTIFIERS and value:
            check_identifier(name, value)
        if name == "check_sum" and not _CHECKSUM.fullmatch(value):
            raise InvalidRequest(
                "'check_sum' is no check sum.", "Send SHA256:, SHA512: or MD5: and hexadecimals."
            )
    _check_length(scope)


def _check_path(path: str) -> None:
    parts = path.replace("\\", "/").split("/")
    if {".", ".."} & set(parts) or "\x00" in path or "\\" in path:
        raise InvalidIdentifier(
            "The address climbs out of its folder.", "Leave dots and backslashes out of it."
        )
    if max(map(len, parts)) > MAX_LENGTH:
        raise InvalidIdentifier(
            "A name in the address is too long.", f"Names have at most {MAX_LENGTH} characters."
        )


def _query(scope: Scope) -> list[tuple[str, str]]:
    try:
        return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    except ValueError as error:  # thousands of fields
        raise InvalidRequest("The query could not be read.", "Send fewer fields.") from error


def _check_query(scope: Scope, routes: Sequence[BaseRoute]) -> None:
    """Name a field of the query that the address does not know, as it would be dropped."""
    given = [name for name, _ in _query(scope)]
    for route in routes if given else ():
        if isinstance(route, APIRoute) and route.matches(scope)[0] is Match.FULL:
            known = {field.alias for field in get_flat_params(route.dependant)}
            for name in given:
                if name not in known | _OF_EVERYONE and not _takes_any_query(route):
                    raise InvalidRequest(
                        f"The query's field {name[:40]!r} is unknown.",
                        f"Known fields: {', '.join(sorted(known)) or 'none'}.",
                    )
            return


_OF_EVERYONE = {"client_id"}
"""What MONAI Label's clients add to any request."""


def _takes_any_query(route: APIRoute) -> bool:
    """Whether the query is for a server or a viewer behind this one, or of no account."""
    return getattr(route, "any_query", False) or route.path.endswith("{path:path}")


def _check_length(scope: Scope) -> None:
    headers = Headers(scope=scope)
    length = headers.get("content-length", "0")
    if len(length) > 20 or not length.isdecimal() or int(length) > MAX_BODY:
        raise RequestTooLarge(
            f"The request's body is over {MAX_BODY // 2**20} MiB.",
            "Crop or compress the image, or put it into the studies folder itself.",
        )
    if scope["method"] in _WITH_BODY and "transfer-encoding" in headers:
        raise LengthRequired(
            "The request does not say how long its body is.",
            "Send the body with a Content-Length instead of in chunks.",
        )
