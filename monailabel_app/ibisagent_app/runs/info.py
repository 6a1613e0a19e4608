"""``GET /ibisagent/info``: what the server is, knows and allows."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends
from fastapi.routing import APIRoute, APIRouter
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User

from ibisagent import __version__
from ibisagent.events import FORMAT
from ibisagent.runs.description import State
from ibisagent.tools.embedding_cache import budget
from ibisagent_app.checked_route import NamedErrorsRoute
from ibisagent_app.configuration import public_name
from ibisagent_app.doorkeeper import MAX_BODY
from ibisagent_app.runs.service import RunService

AnyUser = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]

_EXAMPLES = 6
_FOR_ANY_MODEL = ("the left kidney", "the spleen", "is there a lesion?")


def info_routes(prefix: str, service: RunService) -> list[APIRoute]:
    """The route, for the server's list of routes.

    Args:
        prefix: Of all of the server's addresses, mostly empty.
        service: Keeps the runs.
    """
    router = APIRouter(prefix=prefix, tags=["IBISAgent"], route_class=NamedErrorsRoute)

    async def info(_user: AnyUser) -> dict[str, Any]:
        """What the server is, knows and allows."""
        return describe_server(service)

    router.get("/ibisagent/info", summary="What the server is, knows and allows")(info)
    return [route for route in router.routes if isinstance(route, APIRoute)]


def describe_server(service: RunService) -> dict[str, Any]:
    """The answer; costs no more than a look at what is in memory."""
    wanted, agent = service.configuration, service.agent.loaded
    runs = service.runs.all()
    states = [run.state for run in runs]
    knows = sorted(service.agent.profile().targets)
    return {
        "version": __version__,
        "format": FORMAT,
        "policy": agent.policy.name if agent else public_name(wanted.policy),
        "tool": agent.tool.name if agent else public_name(wanted.tool),
        "loaded": agent is not None,
        "release": service.agent.release,
        "knows": knows,
        "examples": [f"the {name}" for name in knows[:_EXAMPLES]] or list(_FOR_ANY_MODEL),
        "limits": {
            "max_steps": wanted.max_steps,
            "runs_at_once": wanted.runs_at_once,
            "runs_waiting": wanted.runs_waiting,
            "runs_kept": wanted.runs_kept,
            "client_minutes": wanted.client_minutes,
            "idle_minutes": wanted.idle_minutes,
            "images_mib": wanted.images_mib,
            "embeddings_mib": budget() // 2**20,
            "upload_bytes": MAX_BODY,
        },
        "runs": sum(state is State.RUNNING for state in states),
        "waiting": sum(state is State.QUEUED for state in states),
    }
