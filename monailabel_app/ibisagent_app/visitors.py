"""Who may ask: other machines, and web pages that the user's browser shows.

A page of any site can make a browser send forms to a server on the same machine, and by a name
that the page's owner controls even read the answers (DNS rebinding). Browsers say which page
asks (``Origin``) and by which name (``Host``), so both are looked at. Programs send no origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ibisagent.errors import IBISAgentError, InvalidRequest
from ibisagent_app.errors import ForeignOrigin, NotOpenToNetwork
from ibisagent_app.failures import answer_to
from ibisagent_app.listening import is_loopback

LOOPBACK_ORIGINS = r"https?://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?"
"""Pages that this machine serves itself, as a regular expression."""


class Visitors:
    """Who may ask a server.

    Args:
        host: What the server listens on; None if nobody said, and then for this machine only.
        origins: Pages that may ask beside those of this machine, such as
            ``https://viewer.hospital.org``.
    """

    def __init__(self, host: str | None, origins: Sequence[str] = ()) -> None:
        self._for_others = host is not None
        self._on_loopback = host is None or is_loopback(host)
        self._origins = frozenset(origins)
        self._names = {urlsplit(origin).hostname for origin in origins}

    def check(self, scope: Scope) -> None:
        """Turn a request away by where it comes from.

        Raises:
            NotOpenToNetwork: It comes from another machine, which nobody meant to serve.
            ForeignOrigin: A page of another site asks, or this server is called by a name that
                is not its own.
        """
        headers = Headers(scope=scope)
        peer = (scope.get("client") or ("",))[0]
        if not self._for_others and peer and not is_loopback(peer):
            raise NotOpenToNetwork(
                "This server serves its own machine only.",
                "Start it with --host 0.0.0.0 to serve the network; see docs/security.md.",
            )
        name = _name(headers.get("host", ""))
        if self._on_loopback and name and not is_loopback(name) and name not in self._names:
            raise ForeignOrigin(
                f"This server is not known as {name[:60]!r}.",
                "Call it 127.0.0.1 or localhost, or allow https://NAME by --conf cors_origins.",
            )
        origin = headers.get("origin")
        if origin is not None and not self._may_ask(origin, name):
            raise ForeignOrigin(
                f"Pages of {origin[:60]!r} may not ask this server.",
                "Allow them when the server starts: --conf cors_origins ORIGIN.",
            )

    def _may_ask(self, origin: str, name: str) -> bool:
        asking = _hostname(origin)
        return origin in self._origins or (bool(asking) and (is_loopback(asking) or asking == name))


class Gate:
    """Turns visitors away before anything else sees their request.

    Args:
        app: What comes behind.
        visitors: Who may pass.
    """

    def __init__(self, app: ASGIApp, visitors: Visitors) -> None:
        self._app = app
        self._visitors = visitors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        if scope["type"] == "http":
            try:
                self._visitors.check(scope)
            except IBISAgentError as error:
                answer = answer_to(error)
                answer.headers["connection"] = "close"  # its body is not read
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def parse_origins(text: str) -> tuple[str, ...]:
    """Origins as a user writes them, separated by commas or blanks.

    Raises:
        InvalidRequest: One is not of the form ``https://NAME`` or ``https://NAME:PORT``.
    """
    origins = tuple(each.rstrip("/") for each in text.replace(",", " ").split())
    for origin in origins:
        if not _is_origin(origin):
            raise InvalidRequest(
                f"{origin!r} is no origin of web pages.",
                "Give the form https://viewer.hospital.org or http://name:3000, without a path.",
            )
    return origins


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
        return (
            good
            and text == f"{parts.scheme}://{parts.netloc}"
            and "@" not in text
            and (parts.port != 0 and "*" not in text)
        )
    except ValueError:
        return False


def limit_visitors(app: FastAPI, visitors: Visitors, origins: Sequence[str]) -> None:
    """Put the gate in front of the app, and narrow which pages may read its answers.

    MONAI Label lets pages of every site read. The app builds its middleware again when asked
    next, as a running one has done so already.
    """
    ours: tuple[Any, ...] = (Gate, CORSMiddleware)
    others = [each for each in app.user_middleware if each.cls not in ours]
    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_origin_regex=LOOPBACK_ORIGINS,
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
    )
    app.user_middleware[:] = [Middleware(Gate, visitors=visitors), cors, *others]
    app.middleware_stack = None


def _name(host: str) -> str:
    """The name in a ``Host`` header, without its port."""
    return _hostname(f"//{host}") if host else ""


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
