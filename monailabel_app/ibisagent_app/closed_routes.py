"""Addresses of MONAI Label that this server keeps closed, with the reason.

Whole slides: their routes merge ``params`` into the request unchecked and take paths of the
server for images. Models: their routes replace weights, which here are chosen when the server
starts. Reload: it asks nobody for a token. Proxy: without a DICOMweb server there is nothing
behind it.
"""

from __future__ import annotations

from shutil import which

from fastapi.routing import APIRoute, APIRouter
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.interfaces.utils.app import app_instance
from starlette.routing import Match
from starlette.types import Scope

from ibisagent_app.checked_route import NamedErrorsRoute
from ibisagent_app.errors import NotServed


class ClosedRoute(NamedErrorsRoute):
    """A route that refuses whatever is asked."""

    any_query = True


class _ClosedProxyRoute(ClosedRoute):
    """Closed only where the studies are files."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """No match where there is a DICOMweb server behind the proxy."""
        match, found = super().matches(scope)
        if match is not Match.NONE and isinstance(app_instance().datastore(), DICOMWebDatastore):
            return Match.NONE, {}
        return match, found


class _ClosedGpuRoute(ClosedRoute):
    """Closed only where there is no program to ask."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """No match where the stock route would find what it runs."""
        match, found = super().matches(scope)
        return (Match.NONE, {}) if which("nvidia-smi") else (match, found)


def closed_routes(prefix: str) -> list[APIRoute]:
    """The routes, for the server's list of routes.

    Args:
        prefix: Of all of the server's addresses, mostly empty.
    """
    closed = APIRouter(prefix=prefix, include_in_schema=False, route_class=ClosedRoute)
    closed.post("/infer/wsi/{model}")(no_whole_slides)
    closed.post("/infer/wsi_v2/{model}")(no_whole_slides)
    closed.put("/model/{model}")(no_other_weights)
    closed.delete("/model/{model}")(no_other_weights)
    top = APIRouter(include_in_schema=False, route_class=ClosedRoute)
    top.post("/reload")(no_reload)
    proxy = APIRouter(prefix=prefix, include_in_schema=False, route_class=_ClosedProxyRoute)
    proxy.api_route("/proxy/dicom/{path:path}", methods=["GET", "POST"])(no_proxy)
    gpu = APIRouter(prefix=prefix, include_in_schema=False, route_class=_ClosedGpuRoute)
    gpu.get("/logs/gpu")(no_gpu)
    routes = (*closed.routes, *top.routes, *proxy.routes, *gpu.routes)
    return [route for route in routes if isinstance(route, APIRoute)]


def no_whole_slides() -> None:
    """Refuse."""
    raise NotServed(
        "The agent does not work on whole slides.",
        "Put a picture of the region into the studies and use POST /infer/ibisagent?image=ID.",
    )


def no_other_weights() -> None:
    """Refuse."""
    raise NotServed(
        "Models are not exchanged while the server runs.",
        "Choose them when it starts: --conf policy NAME --conf tool NAME.",
    )


def no_reload() -> None:
    """Refuse."""
    raise NotServed("The app is not loaded again while it runs.", "Restart the server.")


def no_proxy() -> None:
    """Refuse."""
    raise NotServed(
        "The studies of this server are files, not a DICOMweb server.",
        "Start the server with the address of a DICOMweb server as studies.",
    )


def no_gpu() -> None:
    """Refuse."""
    raise NotServed("This machine has no program nvidia-smi.", "Ask a machine with a GPU.")
