"""From a failure to the HTTP answer: one table says which status each error has.

Every answer of ours that is not a success has the body
``{"detail": {"code": ..., "message": ..., "fix": ...}}``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from fastapi import HTTPException
from starlette.exceptions import HTTPException as AnyHTTPException

from ibisagent import errors

logger = logging.getLogger(__name__)


class UnknownImage(errors.IBISAgentError):
    """The datastore holds no image of this name."""

    code = "unknown_image"


class UnknownModel(errors.IBISAgentError):
    """This server has no model of this name."""

    code = "unknown_model"


class InvalidIdentifier(errors.IBISAgentError):
    """An image, label, tag or session is named in a way that could reach outside its folder."""

    code = "invalid_identifier"


class RequestTooLarge(errors.IBISAgentError):
    """The body of a request, or its ``params``, is longer than the limit."""

    code = "request_too_large"


class LengthRequired(errors.IBISAgentError):
    """An upload does not say how long it is, so that it cannot be limited."""

    code = "length_required"


STATUS: dict[type[errors.IBISAgentError], HTTPStatus] = {
    InvalidIdentifier: HTTPStatus.BAD_REQUEST,
    UnknownImage: HTTPStatus.NOT_FOUND,
    UnknownModel: HTTPStatus.NOT_FOUND,
    LengthRequired: HTTPStatus.LENGTH_REQUIRED,
    RequestTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.OversizeImage: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.EpisodeEnded: HTTPStatus.CONFLICT,
    errors.InvalidClick: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidManifest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidTrajectory: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NonFiniteImage: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.SliceOutOfRange: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnknownPrompt: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnreadableImage: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnsupportedImage: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.PolicyFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.PolicyUnavailable: HTTPStatus.BAD_GATEWAY,
    errors.DeviceUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.InvalidProfile: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.MissingPackage: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ModelNotFound: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.PolicyUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ToolOutOfMemory: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.OutputNotWritable: HTTPStatus.INSUFFICIENT_STORAGE,
}
"""Status of each failure: 4xx where another request would succeed, 5xx where the server must
change first."""


def detail_of(error: errors.IBISAgentError) -> dict[str, str]:
    """What the client reads: a stable code, what happened, and what to do."""
    return {"code": error.code, "message": error.message, "fix": error.fix}


def to_http(error: errors.IBISAgentError) -> HTTPException:
    """The HTTP answer to a failure."""
    status = STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    return HTTPException(status, detail_of(error))


def has_detail(error: AnyHTTPException) -> bool:
    """Whether an answer has our form already; FastAPI allows more than the text it declares."""
    detail: object = error.detail
    return isinstance(detail, dict)


@contextmanager
def named_http_errors() -> Iterator[None]:
    """Turn every failure of the block into an HTTP answer with code, message and fix.

    Raises:
        HTTPException: Also for our own mistakes, which are logged with their traceback.
    """
    try:
        yield
    except AnyHTTPException as error:
        if has_detail(error):
            raise
        raise _with_detail(error) from error
    except errors.IBISAgentError as error:
        raise to_http(error) from error
    except Exception as error:
        logger.exception("a request failed unexpectedly")
        detail = {
            "code": "internal_error",
            "message": f"The server failed unexpectedly ({type(error).__name__}).",
            "fix": "The server's log has the details; please report them.",
        }
        raise HTTPException(HTTPStatus.INTERNAL_SERVER_ERROR, detail) from error


def _with_detail(error: AnyHTTPException) -> HTTPException:
    """MONAI Label's own answers carry a bare sentence; give them the same form."""
    detail = {
        "code": "monailabel_error",
        "message": str(error.detail),
        "fix": "See the server's log for details.",
    }
    return HTTPException(error.status_code, detail, error.headers)
