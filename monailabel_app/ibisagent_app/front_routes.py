"""Puts our routes before MONAI Label's own, which a running server has already made."""

from __future__ import annotations

import sys

from monailabel.config import settings

from ibisagent_app.doorkeeper import Doorkeeper
from ibisagent_app.infer_route import NamedErrorsRoute, infer_routes

_SERVER = "monailabel.app"


def stand_in_front() -> None:
    """Put the doorkeeper and our own routes before the stock ones of a running server.

    Where no server is running, as in MONAI Label's training processes, nothing is done.
    """
    server = sys.modules.get(_SERVER)
    if server is None:
        return
    routes = server.app.router.routes
    stock = [route for route in routes if not isinstance(route, Doorkeeper | NamedErrorsRoute)]
    routes[:] = [Doorkeeper(), *infer_routes(settings.MONAI_LABEL_API_STR), *stock]
