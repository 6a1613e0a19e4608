"""From a failure to the HTTP answer: one table says which status each error has.

Every answer of ours that is not a success has the body
``{"detail": {"code": ..., "message": ..., "fix": ...}}``.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from fastapi import HTTPException
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)
from starlette.exceptions import HTTPException as AnyHTTPException

from ibisagent import errors
from ibisagent_app.training import refusals

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


class UnsupportedFile(errors.IBISAgentError):
    """An upload's name ends in nothing that this server takes."""

    code = "unsupported_file"


class NotServed(errors.IBISAgentError):
    """An address of MONAI Label that this server keeps closed."""

    code = "not_served"


class UnknownLabel(errors.IBISAgentError):
    """The datastore holds no label of this name and tag."""

    code = "unknown_label"


class UnknownTask(errors.IBISAgentError):
    """This server has no such trainer, strategy or scoring method."""

    code = "unknown_task"


class ForeignOrigin(errors.IBISAgentError):
    """A web page of another site asked, or one that calls this server by a strange name."""

    code = "foreign_origin"


class NotOpenToNetwork(errors.IBISAgentError):
    """Another machine asked a server that was not told to serve others."""

    code = "not_open_to_network"


class AuthenticationUnavailable(errors.IBISAgentError):
    """The service that vouches for users cannot be asked."""

    code = "authentication_unavailable"


class ImageExists(errors.IBISAgentError):
    """The name of an image that is to be put into the studies stands for another one."""

    code = "image_exists"


class EmptyResult(errors.IBISAgentError):
    """The mask is empty, and the format asked for cannot hold an empty one."""

    code = "empty_result"


class StudiesUnavailable(errors.IBISAgentError):
    """The DICOMweb server that holds the studies does not answer as it should."""

    code = "studies_unavailable"


STATUS: dict[type[errors.IBISAgentError], HTTPStatus] = {
    InvalidIdentifier: HTTPStatus.BAD_REQUEST,
    ForeignOrigin: HTTPStatus.FORBIDDEN,
    NotOpenToNetwork: HTTPStatus.FORBIDDEN,
    NotServed: HTTPStatus.NOT_FOUND,
    UnknownLabel: HTTPStatus.NOT_FOUND,
    UnknownTask: HTTPStatus.NOT_FOUND,
    UnknownImage: HTTPStatus.NOT_FOUND,
    UnknownModel: HTTPStatus.NOT_FOUND,
    errors.UnknownRun: HTTPStatus.NOT_FOUND,
    LengthRequired: HTTPStatus.LENGTH_REQUIRED,
    RequestTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedFile: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.OversizeImage: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ImageExists: HTTPStatus.CONFLICT,
    errors.EpisodeEnded: HTTPStatus.CONFLICT,
    errors.NothingToUndo: HTTPStatus.CONFLICT,
    errors.RunCancelled: HTTPStatus.CONFLICT,
    errors.RunGoingOn: HTTPStatus.CONFLICT,
    errors.TooManyRuns: HTTPStatus.TOO_MANY_REQUESTS,
    EmptyResult: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.DetachedData: HTTPStatus.UNPROCESSABLE_ENTITY,
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
    StudiesUnavailable: HTTPStatus.BAD_GATEWAY,
    AuthenticationUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeviceUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.InvalidProfile: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.MissingPackage: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ModelNotFound: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.PolicyUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ServerClosing: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ToolOutOfMemory: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.OutputNotWritable: HTTPStatus.INSUFFICIENT_STORAGE,
    refusals.LabelMisfit: HTTPStatus.CONFLICT,
    refusals.NoTrainingRuns: HTTPStatus.CONFLICT,
    refusals.NotTrainable: HTTPStatus.CONFLICT,
    refusals.NothingToRollBack: HTTPStatus.CONFLICT,
    refusals.OneSubjectOnly: HTTPStatus.CONFLICT,
    refusals.TooFewStudies: HTTPStatus.CONFLICT,
    refusals.TrainingRunning: HTTPStatus.CONFLICT,
    refusals.UnnamedLabel: HTTPStatus.CONFLICT,
    refusals.DeviceBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    refusals.NotEnoughDisk: HTTPStatus.INSUFFICIENT_STORAGE,
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
    except Exception as error:
        named = named_http_error(error)
        if named is error:
            raise
        raise named from error


def named_http_error(error: Exception) -> AnyHTTPException:
    """The HTTP answer to any failure, with code, message and fix as detail.

    What nobody foresaw is logged with its traceback, of which the client sees nothing.
    """
    if isinstance(error, AnyHTTPException):
        return error if has_detail(error) else _with_detail(error)
    known = _known(error)
    if known is not None:
        return to_http(known)
    logger.error("a request failed unexpectedly", exc_info=error)
    detail = {
        "code": "internal_error",
        "message": f"The server failed unexpectedly ({type(error).__name__}).",
        "fix": "The server's log has the details; please report them.",
    }
    return HTTPException(HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def _known(error: Exception) -> errors.IBISAgentError | None:
    """Our name for a failure, where it has one."""
    if isinstance(error, errors.IBISAgentError):
        return error
    if isinstance(error, ImageNotFoundException):
        return UnknownImage(
            "There is no such image on this server.",
            "GET /datastore/?output=all lists the images; PUT /datastore/image adds one.",
        )
    if isinstance(error, LabelNotFoundException):
        return UnknownLabel("There is no such label.", "GET /datastore/?output=all lists them.")
    if isinstance(error, MONAILabelException) and error.error is MONAILabelError.INVALID_INPUT:
        return errors.InvalidRequest(f"{error.msg}.", "GET /info/ shows what this server has.")
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return errors.OutputNotWritable(
            "The server's disk is full.", "Make room on the disk of the server, then try again."
        )
    return None


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_OF_STATUS = {
    401: ("unauthorized", "Log in, and send the token in the header 'Authorization: Bearer …'."),
    403: ("forbidden", "Ask whoever runs this server for that role."),
    404: ("not_found", "Check the name; GET /docs shows the addresses of this server."),
    405: ("method_not_allowed", "GET /docs shows what each address takes."),
    429: ("busy", "Wait until the task that is going on has ended, or stop it."),
}


def _with_detail(error: AnyHTTPException) -> HTTPException:
    """MONAI Label's own answers carry a bare sentence; give them the same form."""
    code, fix = _OF_STATUS.get(
        error.status_code, ("monailabel_error", "See the server's log for details.")
    )
    detail = {"code": code, "message": f"{error.detail}".rstrip(".") + ".", "fix": fix}
    return HTTPException(error.status_code, detail, error.headers)
