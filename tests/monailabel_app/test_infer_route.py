from __future__ import annotations

import pytest


@pytest.mark.slow  # imports MONAI Label's routes, which takes as long as a server's start
def test_route_asks_for_the_same_role_as_the_stock_one() -> None:
    from monailabel.endpoints.infer import router
    from monailabel.endpoints.user.auth import RBAC

    from ibisagent_app.infer_route import infer_routes

    def roles(route) -> list[str]:
        calls = [dependency.call for dependency in route.dependant.dependencies]
        return [call.roles for call in calls if isinstance(call, RBAC)]

    (stock,) = (route for route in router.routes if route.path == "/infer/{model}")
    (ours,) = infer_routes("")
    assert (ours.path, ours.methods) == (stock.path, stock.methods)
    assert roles(ours) == roles(stock) != []
