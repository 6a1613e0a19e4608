"""Starting batch and scoring tasks, in front of the stock routes: checked.

The stock routes merge the JSON of the body into what the task is started with, where it may
choose another model, the images, the processes' environment and folders to load code from. Here
each task's own options pass, by name, and nothing else. Training has routes of its own
(`ibisagent_app.training`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Body, Depends
from fastapi.routing import APIRoute, APIRouter
from monailabel.config import settings
from monailabel.endpoints import batch_infer, scoring
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.batch_infer import BatchInferImageType
from monailabel.interfaces.utils.app import app_instance

from ibisagent.errors import InvalidRequest
from ibisagent.segment import SegmentRequest
from ibisagent_app.checked_route import NamedErrorsRoute
from ibisagent_app.errors import UnknownModel, UnknownTask
from ibisagent_app.request_fields import OF_CLIENTS, to_request
from ibisagent_app.task_options import OF_BATCH, check_options

Params = Annotated[dict[str, Any] | None, Body()]
Admin = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))]
Annotator = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))]


def task_routes(prefix: str) -> list[APIRoute]:
    """The routes, for the server's list of routes.

    Args:
        prefix: Of all of the server's addresses, mostly empty.
    """
    router = APIRouter(prefix=prefix, route_class=NamedErrorsRoute)
    router.post("/batch/infer/{model}", tags=["Infer"], summary="Segment many images")(run_batch)
    router.post("/scoring/", include_in_schema=False)(run_all_scoring)
    router.post("/scoring/{method}", tags=["Scoring"], summary="Run one method")(run_scoring)
    return [route for route in router.routes if isinstance(route, APIRoute)]


def run_batch(
    _user: Admin,
    model: str,
    images: BatchInferImageType = BatchInferImageType.IMAGES_ALL,
    params: Params = None,
    run_sync: bool = False,
) -> Any:
    """Segment many images of the datastore with one prompt."""
    app: MONAILabelApp = app_instance()
    if model not in app._infers:
        known = ", ".join(app._infers)
        raise UnknownModel(f"There is no model {model[:40]!r}.", f"This server has: {known}.")
    fields = params or {}
    check_options(fields, SegmentRequest.model_fields.keys() | OF_CLIENTS | OF_BATCH)
    to_request(fields, max_steps=1)  # told now, not by a task in the background
    return batch_infer.run(model, images, {"save_label": True, **fields}, run_sync)


def run_scoring(
    _user: Annotator, method: str, params: Params = None, run_sync: bool = False
) -> Any:
    """Run a scoring method in a process of its own."""
    check_options(params or {}, _options_of_scoring(method))
    return scoring.run_method(method, params, run_sync)


def run_all_scoring(_user: Annotator, params: Params = None, run_sync: bool = False) -> Any:
    """Run all scoring methods; ``params`` holds options by method."""
    for method, options in (params or {}).items():
        check_options(_as_options(method, options), _options_of_scoring(method))
    return scoring.run(params, run_sync)


def _options_of_scoring(method: str) -> set[str]:
    app: MONAILabelApp = app_instance()
    methods = app._scoring_methods
    if method not in methods:
        known = ", ".join(methods) or "none"
        raise UnknownTask(
            f"There is no scoring method {method[:40]!r}.", f"This server has: {known}."
        )
    return {"y", "y_pred", *methods[method].info().get("config", {})}


def _as_options(name: str, options: Any) -> Mapping[str, Any]:
    if not isinstance(options, dict):
        raise InvalidRequest(
            f"The options of {name[:40]!r} are no object.", 'Send {"TASK": {"OPTION": VALUE}}.'
        )
    return options
