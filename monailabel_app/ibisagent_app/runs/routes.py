"""The addresses of runs; see ``docs/runs.md``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, Depends, Query
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.routing import APIRoute, APIRouter
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.datastore import Datastore
from starlette.background import BackgroundTask

from ibisagent.runs.description import RunDescription
from ibisagent.runs.orders import AcceptOrder, ClickOrder, RunRequest, SliceOrder
from ibisagent.runs.run import Run
from ibisagent.runs.saved_run import SavedRun
from ibisagent_app.identifiers import check_identifier
from ibisagent_app.runs.json_route import JsonRoute
from ibisagent_app.runs.mask_file import keep_as_label, write_temporary
from ibisagent_app.runs.service import RunService
from ibisagent_app.runs.stream import events

AnyUser = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]
Annotator = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))]
Fields = Annotated[dict[str, Any] | None, Body()]


def run_routes(
    prefix: str, service: RunService, datastore: Callable[[], Datastore]
) -> list[APIRoute]:
    """The routes, for the server's list of routes.

    Args:
        prefix: Of all of the server's addresses, mostly empty.
        service: Keeps the runs.
        datastore: Gives the studies, for masks that are accepted.
    """
    router = APIRouter(prefix=f"{prefix}/ibisagent/runs", tags=["Runs"], route_class=JsonRoute)
    handlers = _Handlers(service, datastore)
    router.post("", status_code=HTTPStatus.CREATED, summary="Start a run")(handlers.start)
    router.get("", summary="Runs that are kept, newest first")(handlers.all)
    router.get("/{run}", summary="Describe a run")(handlers.describe)
    router.delete("/{run}", summary="Cancel and forget a run")(handlers.delete)
    router.get("/{run}/events", summary="Its events, as they come")(handlers.events)
    router.post("/{run}/click", summary="A person's click")(handlers.click)
    router.post("/{run}/undo", summary="Take a step back")(handlers.undo)
    router.post("/{run}/continue", summary="Let the agent go on")(handlers.go_on)
    router.post("/{run}/cancel", summary="Stop")(handlers.cancel)
    router.post("/{run}/accept", summary="Keep the mask as a label")(handlers.accept)
    router.get("/{run}/mask", summary="The mask as it stands")(handlers.mask)
    router.get("/{run}/trajectory", summary="All that happened")(handlers.trajectory)
    return [route for route in router.routes if isinstance(route, APIRoute)]


class _Handlers:
    """What the addresses do. None of them waits for the agent."""

    def __init__(self, service: RunService, datastore: Callable[[], Datastore]) -> None:
        self._service, self._runs, self._datastore = service, service.runs, datastore

    async def start(self, user: AnyUser, fields: Fields = None) -> RunDescription:
        """Check a request, read its image, and set a run to work."""
        most = self._service.configuration.max_steps
        request = RunRequest.parse({"max_steps": most, **_given(fields)})
        run = await self._service.in_thread(partial(self._runs.start, request, user.username))
        return run.describe()

    async def all(self, _user: AnyUser) -> list[RunDescription]:
        """Describe all runs."""
        return [run.describe() for run in self._runs.all()]

    async def describe(self, run: str, _user: AnyUser) -> RunDescription:
        """Describe one."""
        return self._runs.get(run).describe()

    async def delete(self, run: str, _user: Annotator) -> dict[str, str]:
        """Cancel and forget one."""
        await self._service.in_thread(partial(self._runs.delete, run))
        return {}

    async def events(
        self,
        run: str,
        _user: AnyUser,
        since: Annotated[int, Query(ge=0)] = 0,
        follow: bool = False,
    ) -> StreamingResponse:
        """Events after a number, as NDJSON."""
        lines = events(self._runs, self._runs.get(run), since, follow)
        # Nothing between here and the client may hold lines back to pack or to collect them.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(lines, media_type="application/x-ndjson", headers=headers)

    async def click(self, run: str, _user: AnyUser, fields: Fields = None) -> RunDescription:
        """Take a person's click."""
        order = ClickOrder.parse(_given(fields))
        return await self._ordered(run, lambda found: found.click(order))

    async def undo(self, run: str, _user: AnyUser, fields: Fields = None) -> RunDescription:
        """Take a step back."""
        order = SliceOrder.parse(_given(fields))
        return await self._ordered(run, lambda found: found.undo(order))

    async def go_on(self, run: str, _user: AnyUser, fields: Fields = None) -> RunDescription:
        """Let the agent go on."""
        order = SliceOrder.parse(_given(fields))
        return await self._ordered(run, lambda found: found.go_on(order))

    async def cancel(self, run: str, _user: AnyUser, fields: Fields = None) -> RunDescription:
        """Stop; takes no fields."""
        return await self._ordered(run, lambda found: found.cancel())

    async def accept(self, run: str, user: Annotator, fields: Fields = None) -> dict[str, str]:
        """Keep the mask as a label."""
        order = AcceptOrder.parse(_given(fields))
        check_identifier("tag", order.tag)
        found = self._runs.get(run)
        found.require_rest()
        work = partial(keep_as_label, found, order, user.username, self._datastore())
        return {"label": await self._service.in_thread(work), "tag": order.tag}

    async def mask(self, run: str, _user: AnyUser, suffix: str = ".nrrd") -> FileResponse:
        """The mask as a file."""
        work = partial(write_temporary, self._runs.get(run), suffix)
        path: Path = await self._service.in_thread(work)
        forget = BackgroundTask(path.unlink, missing_ok=True)
        return FileResponse(path, filename=f"{run}{suffix}", background=forget)

    async def trajectory(self, run: str, _user: AnyUser) -> SavedRun:
        """Records of all slices; ``saved`` of a new run takes them as they are."""
        found = self._runs.get(run)
        records, carried = await self._service.in_thread(found.trajectories)
        return SavedRun(trajectories=records, carried=carried)

    async def _ordered(self, run: str, order: Callable[[Run], None]) -> RunDescription:
        found = self._runs.get(run)
        await self._service.in_thread(partial(order, found))
        return found.describe()


def _given(fields: dict[str, Any] | None) -> dict[str, Any]:
    """Null stands for "not given"."""
    return {name: value for name, value in (fields or {}).items() if value is not None}
