"""A route that says by name what it does not understand of a request's form."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from ibisagent.errors import IBISAgentError, InvalidRequest
from ibisagent_app.errors import RequestTooLarge, has_detail, named_http_errors, to_http
from ibisagent_app.failures import misfit

MAX_PARAMS = 2**20
"""Bytes of one text field of a form; what the form parser allows."""

_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


class NamedErrorsRoute(APIRoute):
    """A route whose refusals have the form of `ibisagent_app.errors`.

    Attributes:
        any_query: Whether fields of the query that it does not name are let through.
    """

    any_query: ClassVar[bool] = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, with its errors renamed."""
        handle = super().get_route_handler()

        async def handle_naming_errors(request: Request) -> Response:
            with named_http_errors():
                try:
                    return await handle(request)
                except RequestValidationError as error:
                    raise to_http(misfit(error)) from error

        return handle_naming_errors


class FormRoute(NamedErrorsRoute):
    """A route that takes a form, and names the fields that it does not know."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind a look at the form."""
        handle = super().get_route_handler()
        known = {field.alias for field in self.dependant.body_params}

        async def handle_checked_form(request: Request) -> Response:
            with named_http_errors():
                await _check_form(request, known)
                return await handle(request)

        return handle_checked_form


async def _check_form(request: Request, known: set[str]) -> None:
    """A JSON body would be dropped without a word, and so would a field of another name."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", *_FORMS):
        raise InvalidRequest(
            f"A body of type {kind} is not read.",
            "Send a form with the field 'params', which holds the JSON as text.",
        )
    try:
        form = await request.form()  # kept in the request, so that it is parsed once
    except HTTPException as error:
        if has_detail(error) or error.status_code != HTTPStatus.BAD_REQUEST:
            raise
        raise _unread_form(error) from error
    for name in form:
        if name not in known:
            await form.close()
            raise InvalidRequest(
                f"The form's field {name[:40]!r} is unknown.",
                f"Known fields: {', '.join(sorted(known))}.",
            )


def _unread_form(error: HTTPException) -> IBISAgentError:
    """What the form parser's bare sentence means."""
    if "maximum size" in str(error.detail):
        return params_too_large()
    return InvalidRequest(f"The form could not be read: {error.detail}", "Send a whole form.")


def params_too_large() -> RequestTooLarge:
    """The refusal of a text field over `MAX_PARAMS`."""
    return RequestTooLarge(
        f"params is over {MAX_PARAMS // 2**20} MiB.", "Send only the fields that are needed."
    )
