"""Addresses of training, before MONAI Label's own of the same name.

The stock ones start a trainer without a look at what it has to learn from, and run strategies on
the event loop, where every other request waits. These check first, in threads, and then call the
same stock functions.
"""

from __future__ import annotations

from threading import Lock
from typing import Annotated, Any

from fastapi import Body, Depends
from fastapi.routing import APIRoute, APIRouter
from monailabel.config import settings
from monailabel.endpoints import activelearning, train
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from ibisagent.errors import InvalidRequest
from ibisagent_app.errors import UnknownTask
from ibisagent_app.runs.json_route import JsonRoute
from ibisagent_app.task_options import check_options
from ibisagent_app.training.desk import TrainingDesk
from ibisagent_app.training.options import BOTH, STAGES, client_options
from ibisagent_app.training.strategy import OPTIONS

AnyUser = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]
Admin = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))]
Fields = Annotated[dict[str, Any] | None, Body()]

_starting = Lock()
"""Of two who ask at once, the second is told that a training goes on."""


def training_routes(prefix: str) -> list[APIRoute]:
    """The routes, for the server's list of routes.

    Args:
        prefix: Of all of the server's addresses, mostly empty.
    """
    router = APIRouter(prefix=prefix, route_class=JsonRoute)
    own = "/ibisagent/training"
    router.get(own, tags=["IBISAgent"], summary="What training does and did")(report)
    router.post(f"{own}/stop", tags=["IBISAgent"], summary="End training; keep what is done")(stop)
    router.post(f"{own}/rollback", tags=["IBISAgent"], summary="Use the model before")(rollback)
    router.post("/train/", tags=["Train"], summary="Train in all stages")(start_all)
    router.post("/train/{model}", tags=["Train"], summary="Check, then start a trainer")(start)
    router.post(
        "/activelearning/{strategy}", tags=["ActiveLearning"], summary="Next study; in a thread"
    )(next_study)
    return [route for route in router.routes if isinstance(route, APIRoute)]


def report(_user: AnyUser) -> dict[str, Any]:
    """What training does and did, which model is in use, and what there is to learn from."""
    return _desk().report(app_instance().datastore())


def stop(_user: Admin) -> dict[str, Any]:
    """Ask the training to end after its present step; its last checkpoint is kept."""
    _desk().stop()
    return _desk().report(app_instance().datastore())


def rollback(_user: Admin) -> dict[str, Any]:
    """Take the model into use that was in use before the present one."""
    _desk().rollback()
    return _desk().report(app_instance().datastore())


def start(
    model: str, _user: Admin, params: Fields = None, run_sync: bool = False, enqueue: bool = False
) -> Any:
    """Start a trainer, if there is enough to learn from and nothing else trains.

    Args:
        model: Name of the trainer.
        params: Its options.
        run_sync: Must be false: a training within the request would block the server.
        enqueue: Of no effect: whether there is enough to learn from is seen when the other has
            ended.
    """
    app = app_instance()
    if model not in STAGES or model not in app._trainers:
        known = ", ".join(app._trainers) or "none"
        raise UnknownTask(f"There is no trainer {model[:40]!r}.", f"This server has: {known}.")
    if run_sync:
        raise InvalidRequest(
            "A training within the request would block the server.", "Leave run_sync out."
        )
    fields = _own_options(model, params or {})
    check_options(fields, client_options(model))
    with _starting:
        desk = _desk()
        desk.check_idle()
        desk.plan(model, fields, app.datastore())
        desk.workplace.forget_stop()
        return train.run_model(model, fields)


def start_all(user: Admin, params: Fields = None) -> Any:
    """The stock client's "all trainers": one that runs through all stages."""
    return {BOTH: {"result": start(BOTH, user, params), "detail": None}}


def next_study(strategy: str, user: AnyUser, params: Fields = None) -> Any:
    """The image that should be labelled next."""
    known = app_instance()._strategies
    fields = params or {}
    if strategy not in known:
        raise UnknownTask(
            f"There is no strategy {strategy[:40]!r}.", f"This server has: {', '.join(known)}."
        )
    check_options(fields, OPTIONS)
    return activelearning.sample(strategy, fields, user.username)


def _own_options(model: str, params: dict[str, Any]) -> dict[str, Any]:
    """Clients that start all trainers send options by trainer."""
    own = params.get(model)
    if isinstance(own, dict):
        return {**{name: params[name] for name in params if name not in STAGES}, **own}
    return params


def _desk() -> TrainingDesk:
    desk: TrainingDesk = app_instance().training
    return desk
