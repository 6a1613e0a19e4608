"""Puts our routes before MONAI Label's own, and our manners over all of them.

A running server has made its routes, handlers and middleware already when it loads the app.
Routes may still be added; handlers and middleware are built again when asked for next, which is
before the first request, as no request is taken while the app is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fastapi.routing import APIRoute
from monailabel.config import settings
from monailabel.endpoints import (
    activelearning,
    batch_infer,
    datastore,
    infer,
    info,
    logs,
    model,
    ohif,
    proxy,
    scoring,
    session,
    train,
)
from starlette.routing import BaseRoute

from ibisagent_app.checked_route import NamedErrorsRoute
from ibisagent_app.closed_routes import closed_routes
from ibisagent_app.datastore_routes import datastore_routes
from ibisagent_app.doorkeeper import Doorkeeper
from ibisagent_app.failures import name_failures
from ibisagent_app.infer_route import infer_routes
from ibisagent_app.listening import stated_host, tell_who_may_ask
from ibisagent_app.session_routes import session_routes
from ibisagent_app.task_routes import task_routes
from ibisagent_app.tokens import mend_token_check
from ibisagent_app.visitors import Visitors, limit_visitors

_SERVER = "monailabel.app"


def is_server() -> bool:
    """Whether a server runs in this process; MONAI Label's training processes have none."""
    return _SERVER in sys.modules


def stand_in_front(origins: Sequence[str] = (), own: Sequence[APIRoute] = ()) -> None:
    """Put the gate, the doorkeeper and our own routes before the stock ones of a running server.

    Where no server is running, as in MONAI Label's training processes, nothing is done.

    Args:
        origins: Pages that may ask, beside those of this machine.
        own: Routes of addresses that MONAI Label does not have; of class `NamedErrorsRoute`, by
            which they are known when the app is loaded again.
    """
    server = sys.modules.get(_SERVER)
    if server is None:
        return
    mend_token_check()
    place_routes(server.app.router.routes, own)
    host = stated_host(sys.argv[1:])
    allowed = (*origins, *(str(each).rstrip("/") for each in settings.MONAI_LABEL_CORS_ORIGINS))
    name_failures(server.app)
    limit_visitors(server.app, Visitors(host, allowed), allowed)
    tell_who_may_ask(host, settings.MONAI_LABEL_AUTH_ENABLE)


def place_routes(routes: list[BaseRoute], own: Sequence[APIRoute]) -> None:
    """Order a server's routes: doorkeeper, ours, stock."""
    prefix = settings.MONAI_LABEL_API_STR
    ours = [
        *closed_routes(prefix),
        *infer_routes(prefix),
        *datastore_routes(prefix),
        *session_routes(prefix),
        *task_routes(prefix),
        *own,
    ]
    stock = [route for route in routes if not isinstance(route, Doorkeeper | NamedErrorsRoute)]
    routes[:] = [Doorkeeper([*ours, *_stock_routes()]), *ours, *stock]


def _stock_routes() -> list[APIRoute]:
    """Each by itself; the server's own list holds them bundled by router."""
    modules = (
        activelearning,
        batch_infer,
        datastore,
        infer,
        info,
        logs,
        model,
        ohif,
        proxy,
        scoring,
        session,
        train,
    )
    every = (route for module in modules for route in module.router.routes)
    return [route for route in every if isinstance(route, APIRoute)]
