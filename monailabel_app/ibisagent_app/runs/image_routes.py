"""``/ibisagent/images``: whether the server has an image, and putting one there as it is.

Clients name an image by its content, so that it is sent once. A name that stands for another
content is refused instead of replaced: runs and labels may belong to it.
"""

from __future__ import annotations

import filecmp
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute, APIRouter
from monailabel.config import settings
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.datastore import Datastore

from ibisagent.errors import InvalidRequest, OutputNotWritable
from ibisagent.volume import read_image
from ibisagent_app.checked_route import NamedErrorsRoute
from ibisagent_app.doorkeeper import MAX_BODY
from ibisagent_app.errors import ImageExists, RequestTooLarge, UnknownImage
from ibisagent_app.identifiers import check_identifier
from ibisagent_app.images import find_image
from ibisagent_app.runs.service import RunService
from ibisagent_app.uploads import IMAGE_SUFFIXES, suffix_of

AnyUser = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]
Annotator = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))]


def image_routes(
    prefix: str, service: RunService, datastore: Callable[[], Datastore]
) -> list[APIRoute]:
    """The routes, for the server's list of routes.

    Args:
        prefix: Of all of the server's addresses, mostly empty.
        service: Has threads for slow work.
        datastore: Gives the studies.
    """
    place = f"{prefix}/ibisagent/images"
    router = APIRouter(prefix=place, tags=["Runs"], route_class=NamedErrorsRoute)
    adding = Lock()  # of two who bring the same image, the second finds it there

    async def has_image(image: str, _user: AnyUser) -> Response:
        """200 if the server has the image."""
        check_identifier("image", image)
        await service.in_thread(partial(_check_known, image, datastore()))
        return Response()

    async def put_image(
        image: str, request: Request, response: Response, user: Annotator, suffix: str = ".nrrd"
    ) -> dict[str, str]:
        """Keep an image, if it can be segmented."""
        check_identifier("image", image)
        if isinstance(datastore(), DICOMWebDatastore):
            raise InvalidRequest(
                "The studies are on a DICOMweb server, which takes no single files.",
                "Send the series to that server, and name it here by its SeriesInstanceUID.",
            )
        suffix = suffix_of(suffix, IMAGE_SUFFIXES)
        async with _received(request, f"{image}{suffix}") as path:
            work = partial(_add, image, path, datastore(), user.username, adding)
            added = await service.in_thread(work)
        response.status_code = HTTPStatus.CREATED if added else HTTPStatus.OK
        return {"image": image}

    router.head("/{image}", summary="Whether the server has an image")(has_image)
    router.put("/{image}", summary="Put an image into the studies")(put_image)
    return [route for route in router.routes if isinstance(route, APIRoute)]


def _check_known(image: str, store: Datastore) -> None:
    """Refuse an image that is not there, without fetching a series from a DICOMweb server."""
    if not isinstance(store, DICOMWebDatastore):
        find_image(image, store, None)
    elif image not in store.list_images():
        raise UnknownImage(
            f"There is no series {image[:70]!r} on the DICOMweb server.",
            "GET /datastore/?output=all lists them.",
        )


def _add(image: str, path: Path, store: Datastore, user: str, adding: Lock) -> bool:
    """Keep a file as an image; returns whether it was not there before."""
    read_image(path)
    with adding:
        try:
            there = find_image(image, store, None).path
        except UnknownImage:
            store.add_image(image, str(path), {"user": user})
            return True
    if there.is_file() and filecmp.cmp(there, path, shallow=False):
        return False
    raise ImageExists(
        f"The name {image[:40]!r} stands for another image.",
        "Put it under another name, for example one made of its content's hash.",
    )


@asynccontextmanager
async def _received(request: Request, name: str) -> AsyncIterator[Path]:
    """A request's body as a file, which is deleted at the end of the block."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="ibisagent-image-"))
    except OSError as error:
        raise _no_room() from error
    path, received = folder / name, 0
    try:
        with path.open("wb") as file:
            async for piece in request.stream():
                received += len(piece)
                if received > MAX_BODY:
                    raise RequestTooLarge("The image is too large.", "Crop or compress it.")
                file.write(piece)
        yield path
    except OSError as error:
        raise _no_room() from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _no_room() -> OutputNotWritable:
    return OutputNotWritable(
        "The image could not be kept.", "Check free space and permissions of the server's folders."
    )
