"""``POST /infer/{model}`` in front of the stock route: validated, and in a thread of its own.

The stock route runs a model on the event loop, where every other request waits for it, and
merges ``params`` into the request unchecked. This one checks first and then calls the same
stock function.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import (
    BackgroundTasks,
    Depends,
    File,
    Form,
    Request,
    Response,
    UploadFile,
)
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, APIRouter
from monailabel.config import settings
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.endpoints.infer import ResultType, run_inference
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.utils.app import app_instance
from starlette.exceptions import HTTPException

from ibisagent.errors import IBISAgentError, InvalidRequest
from ibisagent_app.errors import (
    RequestTooLarge,
    UnknownModel,
    has_detail,
    named_http_errors,
    to_http,
)
from ibisagent_app.identifiers import check_identifier
from ibisagent_app.request_fields import check_known, check_overrides
from ibisagent_app.segmentation_task import SegmentationTask

MAX_PARAMS = 2**20
"""Bytes of ``params``; what the form parser allows for one field."""


class NamedErrorsRoute(APIRoute):
    """A route whose own refusals have the form of `ibisagent_app.errors`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, with its errors renamed."""
        handle = super().get_route_handler()

        async def handle_naming_errors(request: Request) -> Response:
            try:
                _check_form(request)
                return await handle(request)
            except RequestValidationError as error:
                raise to_http(_misfit(error)) from error
            except InvalidRequest as error:
                raise to_http(error) from error
            except HTTPException as error:
                if has_detail(error) or error.status_code != HTTPStatus.BAD_REQUEST:
                    raise
                raise to_http(_unread_form(error)) from error

        return handle_naming_errors


def infer_routes(prefix: str) -> list[APIRoute]:
    """The route, for the server's list of routes.

    Args:
        prefix: Of all of the server's addresses, mostly empty.
    """
    router = APIRouter(prefix=f"{prefix}/infer", tags=["Infer"], route_class=NamedErrorsRoute)
    router.post("/{model}", summary="Run a model; in a thread, with checked parameters")(infer)
    return [route for route in router.routes if isinstance(route, APIRoute)]


def infer(
    background_tasks: BackgroundTasks,
    model: str,
    _user: Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))],
    image: str = "",
    session_id: str = "",
    params: Annotated[str, Form()] = "{}",
    file: Annotated[UploadFile | None, File()] = None,
    label: Annotated[UploadFile | None, File()] = None,
    output: ResultType | None = None,
) -> Any:
    """Run a model on an image of the datastore, of a session, or sent along."""
    with named_http_errors():
        app: MONAILabelApp = app_instance()
        if not (image or file or session_id):
            raise InvalidRequest("The request names no image.", "Add ?image=ID to the address.")
        fields = parse_params(params)
        _check_fields(app, model, fields)
        _check_output(app, output)
        if label is not None and _is_ours(app, model):
            raise InvalidRequest(
                "The agent takes no starting mask here.", "Leave the form field 'label' out."
            )
        return run_inference(
            background_tasks, model, image, session_id, json.dumps(fields), file, label, output
        )


def parse_params(text: str) -> dict[str, Any]:
    """The fields of ``params``.

    Raises:
        InvalidRequest: Not JSON, or not an object.
        RequestTooLarge: Over `MAX_PARAMS`.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_PARAMS:
        raise _params_too_large()
    try:
        fields = json.loads(text or "{}", parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"params is not JSON: {error}.", 'Send an object such as {"prompt": "the liver"}.'
        ) from error
    if not isinstance(fields, dict):
        raise InvalidRequest(
            f"params is a JSON {type(fields).__name__}, not an object.",
            'Send an object such as {"prompt": "the liver"}.',
        )
    return fields


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _check_fields(app: MONAILabelApp, model: str, fields: dict[str, Any]) -> None:
    if model not in app._infers:
        known = ", ".join(app._infers)
        raise UnknownModel(f"There is no model {model[:40]!r}.", f"This server has: {known}.")
    check_overrides(fields)
    if "label_tag" in fields:
        check_identifier("label_tag", str(fields["label_tag"]))
    if not isinstance(fields.get("save_label", False), bool):
        raise InvalidRequest("The field 'save_label' is no truth value.", "Send true or false.")
    if _is_ours(app, model):
        check_known(fields)


def _is_ours(app: MONAILabelApp, model: str) -> bool:
    return isinstance(app._infers.get(model), SegmentationTask)


def _check_output(app: MONAILabelApp, output: ResultType | None) -> None:
    if output is ResultType.dicom_seg and not isinstance(app.datastore(), DICOMWebDatastore):
        raise InvalidRequest(
            "output=dicom_seg needs studies from a DICOMweb server.",
            "Use output=image, json or all, or start the server with a DICOMweb address.",
        )


def _check_form(request: Request) -> None:
    """A JSON body would be dropped without a word, and with it the prompt."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "multipart/form-data", "application/x-www-form-urlencoded"):
        raise InvalidRequest(
            f"A body of type {kind} is not read.",
            "Send a form with the field 'params', which holds the JSON as text.",
        )


def _misfit(error: RequestValidationError) -> InvalidRequest:
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return InvalidRequest(f"{name!r}: {first['msg']}.", "See /docs for what this address takes.")


def _unread_form(error: HTTPException) -> IBISAgentError:
    """What the form parser's bare sentence means."""
    if "maximum size" in str(error.detail):
        return _params_too_large()
    return InvalidRequest(f"The form could not be read: {error.detail}", "Send a whole form.")


def _params_too_large() -> RequestTooLarge:
    return RequestTooLarge(
        f"params is over {MAX_PARAMS // 2**20} MiB.", "Send only the fields that are needed."
    )
