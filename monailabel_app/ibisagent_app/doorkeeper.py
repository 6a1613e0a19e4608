"""Stands in front of the stock routes and turns dangerous requests away.

MONAI Label joins identifiers from the query to its folders, and reads uploads of any length.
What can be told from the first lines of a request is refused here, for every route; what is in
the form of ``POST /infer`` is looked at by `ibisagent_app.infer_route`.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from ibisagent.errors import IBISAgentError
from ibisagent_app.errors import (
    InvalidIdentifier,
    LengthRequired,
    RequestTooLarge,
    detail_of,
    to_http,
)
from ibisagent_app.identifiers import check_identifier

IDENTIFIERS = ("id", "image", "label", "session_id", "tag")
"""Names in the query that become part of a path."""

MAX_BODY = 2**30
"""Bytes of a request: a CT of 512 x 512 x 1,000 voxels is half of it before compression."""

_WITH_BODY = ("PATCH", "POST", "PUT")


class Doorkeeper(BaseRoute):
    """A route that matches the requests to refuse, and no others."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether to refuse; the reason travels in the scope."""
        if scope["type"] != "http":
            return Match.NONE, {}
        try:
            check(scope)
        except IBISAgentError as error:
            return Match.FULL, {"refusal": error}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the reason, without reading the body."""
        error: IBISAgentError = scope["refusal"]
        answer = JSONResponse({"detail": detail_of(error)}, to_http(error).status_code)
        answer.headers["connection"] = "close"  # the rest of the body is not read
        await answer(scope, receive, send)


def check(scope: Scope) -> None:
    """Check path, query and announced length of a request.

    Raises:
        InvalidIdentifier: A path or a name that could reach outside its folder.
        RequestTooLarge: The body is over `MAX_BODY`.
        LengthRequired: The body's length is not announced.
    """
    if ".." in scope["path"].replace("\\", "/").split("/") or "\x00" in scope["path"]:
        raise InvalidIdentifier("The address climbs out of its folder.", "Leave '..' out of it.")
    query = scope["query_string"].decode("latin-1")
    for name, value in parse_qsl(query, keep_blank_values=False):
        if name in IDENTIFIERS:
            check_identifier(name, value)
    _check_length(scope)


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
