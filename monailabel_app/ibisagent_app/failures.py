"""Every failure of the server as JSON with code, message and fix, whichever route it is of.

MONAI Label's own failures are a bare ``500 Internal Server Error``; an unknown address, a wrong
method and a missing field have forms of their own.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ibisagent.errors import IBISAgentError, InvalidRequest
from ibisagent_app.errors import named_http_error


def name_failures(app: FastAPI) -> None:
    """Let the app answer all failures in our form, from its next request on.

    A running app has built its handlers already: it builds them again when asked next.
    """
    for kind in (HTTPException, RequestValidationError, IBISAgentError, Exception):
        app.exception_handlers[kind] = _answer
    app.middleware_stack = None


async def _answer(_request: Request, error: Exception) -> JSONResponse:
    return answer_to(error)


def answer_to(error: Exception) -> JSONResponse:
    """The answer to a failure."""
    if isinstance(error, RequestValidationError):
        error = misfit(error)
    named = named_http_error(error)
    return JSONResponse({"detail": named.detail}, named.status_code, named.headers)


def misfit(error: RequestValidationError) -> InvalidRequest:
    """What FastAPI found wrong with a request, in our words."""
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return InvalidRequest(f"{name!r}: {first['msg']}.", "See /docs for what this address takes.")
