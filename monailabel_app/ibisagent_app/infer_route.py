"""``POST /infer/{model}`` in front of the stock route: validated, and in a thread of its own.

The stock route runs a model on the event loop, where every other request waits for it, and
merges ``params`` into the request unchecked. This one checks first and then calls the same
stock function.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import FileResponse
from fastapi.routing import APIRoute, APIRouter
from monailabel.config import settings
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.endpoints.infer import ResultType, run_inference
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.utils.app import app_instance

from ibisagent.errors import InvalidRequest
from ibisagent_app.asker import Asker, asked_by
from ibisagent_app.checked_route import FormRoute
from ibisagent_app.errors import NotServed, UnknownModel, named_http_errors
from ibisagent_app.identifiers import check_identifier
from ibisagent_app.params import parse_params
from ibisagent_app.request_fields import check_known, check_overrides
from ibisagent_app.segmentation_task import SegmentationTask
from ibisagent_app.uploads import IMAGE_SUFFIXES, kept


def infer_routes(prefix: str) -> list[APIRoute]:
    """The route, for the server's list of routes.

    Args:
        prefix: Of all of the server's addresses, mostly empty.
    """
    router = APIRouter(prefix=f"{prefix}/infer", tags=["Infer"], route_class=FormRoute)
    router.post("/{model}", summary="Run a model; in a thread, with checked parameters")(infer)
    return [route for route in router.routes if isinstance(route, APIRoute)]


async def _connection(request: Request) -> Callable[[], bool]:
    """Tells a thread whether the client has hung up."""
    loop = asyncio.get_running_loop()
    return lambda: asyncio.run_coroutine_threadsafe(request.is_disconnected(), loop).result()


def infer(
    background_tasks: BackgroundTasks,
    gone: Annotated[Callable[[], bool], Depends(_connection)],
    model: str,
    user: Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))],
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
        _check_may_save(user, fields)
        if label is not None and _is_ours(app, model):
            raise InvalidRequest(
                "The agent takes no starting mask here.", "Leave the form field 'label' out."
            )
        if session_id and app.sessions() is None:
            raise NotServed("Sessions are switched off on this server.", "Name an image instead.")
        if output is ResultType.dicom_seg:
            fields.setdefault("label_info", [{"name": str(fields.get("prompt", ""))[:64]}])
        with ExitStack() as stack:
            stack.enter_context(asked_by(Asker(user.username, gone)))
            if file is not None:  # an upload goes before a name, as in MONAI Label
                image = str(stack.enter_context(kept(file, IMAGE_SUFFIXES)))
            text = json.dumps(fields)
            answer = run_inference(
                background_tasks, model, image, session_id, text, None, label, output
            )
        if output is ResultType.dicom_seg and isinstance(answer, FileResponse):
            background_tasks.add_task(Path(answer.path).unlink, missing_ok=True)
        return answer


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


def _check_may_save(user: User, fields: dict[str, Any]) -> None:
    """Saving a label asks for the same role here as at the address that only does so."""
    role = settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR
    if fields.get("save_label") and role not in user.roles:
        raise HTTPException(HTTPStatus.FORBIDDEN, f'Role "{role}" is required to save labels')


def _is_ours(app: MONAILabelApp, model: str) -> bool:
    return isinstance(app._infers.get(model), SegmentationTask)


def _check_output(app: MONAILabelApp, output: ResultType | None) -> None:
    if output is ResultType.dicom_seg and not isinstance(app.datastore(), DICOMWebDatastore):
        raise InvalidRequest(
            "output=dicom_seg needs studies from a DICOMweb server.",
            "Use output=image, json or all, or start the server with a DICOMweb address.",
        )
