"""``PUT /session/`` in front of the stock route: plain names, and no archives.

The stock route unpacks any archive that it is told to, where a TAR may write anywhere, and
writes files under the names that the client gives them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Depends, File, Form, Query, UploadFile
from fastapi.routing import APIRoute, APIRouter
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.utils.app import app_instance

from ibisagent.errors import InvalidRequest, OutputNotWritable
from ibisagent_app.checked_route import FormRoute
from ibisagent_app.errors import NotServed
from ibisagent_app.identifiers import check_identifier
from ibisagent_app.params import parse_params
from ibisagent_app.uploads import IMAGE_SUFFIXES, suffix_of

MAX_FILES = 1000
"""Files of a session, such as the slices of a series; what the form parser allows."""

MAX_EXPIRY = 7 * 24 * 3600
"""Seconds that a session may be kept for."""


def session_routes(prefix: str) -> list[APIRoute]:
    """The route, for the server's list of routes.

    Args:
        prefix: Of all of the server's addresses, mostly empty.
    """
    router = APIRouter(prefix=f"{prefix}/session", tags=["Session"], route_class=FormRoute)
    router.put("/", summary="Keep an image for a while, under a name of its own")(create_session)
    return [route for route in router.routes if isinstance(route, APIRoute)]


def create_session(
    _user: Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))],
    files: Annotated[list[UploadFile], File()],
    uncompress: bool = False,
    expiry: Annotated[int, Query(ge=0, le=MAX_EXPIRY)] = 0,
    params: Annotated[str, Form()] = "{}",
) -> dict[str, Any]:
    """Keep one image file, or the files of one DICOM series."""
    app: MONAILabelApp = app_instance()
    sessions = app.sessions()
    if sessions is None:
        raise NotServed("Sessions are switched off on this server.", "PUT /datastore/image.")
    if uncompress:
        raise InvalidRequest("Archives are not unpacked.", "Send the files one by one.")
    parse_params(params)  # the stock client sends it; nothing in it has a meaning here
    names = _names(files)
    with _room() as folder:
        for upload, name in zip(files, names, strict=True):
            with (folder / name).open("wb") as stream:
                shutil.copyfileobj(upload.file, stream)
        data = folder / names[0] if len(names) == 1 else folder
        # MONAI Label's own identifiers are made of the time, and so can be guessed.
        session_id, info = sessions.add_session(str(data), expiry, False, str(uuid4()))
    return {"session_id": session_id, "session_info": info.to_json()}


def _names(files: Sequence[UploadFile]) -> list[str]:
    """Names under which the files are kept; those of a series need no suffix."""
    names = [(upload.filename or "image.nii.gz").replace("\\", "/") for upload in files]
    names = [check_identifier("file", name.rpartition("/")[2]) for name in names]
    if len(set(names)) < len(names):
        raise InvalidRequest("Two files have the same name.", "Give each a name of its own.")
    if len(names) == 1 and "." in names[0]:
        suffix_of(names[0], IMAGE_SUFFIXES)
    return names


@contextmanager
def _room() -> Iterator[Path]:
    """A folder of our own, emptied at the end of the block."""
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="ibisagent-session-"))
        yield folder
    except OSError as error:
        raise OutputNotWritable(
            "The session's files could not be kept.",
            "Check free space and permissions of the server's folders for temporary files "
            "and sessions.",
        ) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
