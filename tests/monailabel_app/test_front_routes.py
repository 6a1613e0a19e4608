from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow  # imports MONAI Label's routes, which takes as long as its start


def test_routes_are_placed_once_however_often_the_app_is_loaded() -> None:
    from fastapi import FastAPI
    from monailabel.endpoints import datastore, infer

    from ibisagent_app.checked_route import NamedErrorsRoute
    from ibisagent_app.doorkeeper import Doorkeeper
    from ibisagent_app.front_routes import place_routes

    app = FastAPI()
    app.include_router(infer.router)
    app.include_router(datastore.router)
    stock = list(app.router.routes)
    own = NamedErrorsRoute("/ibisagent/info", lambda: {})
    place_routes(app.router.routes, [own])
    once = len(app.router.routes)
    place_routes(app.router.routes, [own])
    routes = app.router.routes
    assert len(routes) == once
    assert isinstance(routes[0], Doorkeeper)
    assert sum(isinstance(route, Doorkeeper) for route in routes) == 1
    assert own in routes
    assert routes[-len(stock) :] == stock


def test_no_server_no_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from ibisagent_app.front_routes import stand_in_front

    monkeypatch.delitem(sys.modules, "monailabel.app", raising=False)
    stand_in_front()
