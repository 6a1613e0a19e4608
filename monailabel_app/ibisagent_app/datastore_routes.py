"""Writing to the studies, in front of the stock routes: checked, and in threads.

The stock routes copy whatever comes, under whatever suffix, into the studies folder, where the
datastore's own index lies too; they parse JSON unchecked, and leave archives of the whole
dataset behind.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, File, Form, Query, UploadFile
from fastapi.responses import FileResponse
from fastapi.routing import APIRoute, APIRouter
from monailabel.config import settings
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.interfaces.utils.app import app_instance

from ibisagent.volume import read_image
from ibisagent_app.checked_route import FormRoute, NamedErrorsRoute
from ibisagent_app.errors import UnknownImage, UnknownLabel
from ibisagent_app.identifiers import check_identifier
from ibisagent_app.label_file import check_label_file
from ibisagent_app.params import parse_params
from ibisagent_app.uploads import IMAGE_SUFFIXES, LABEL_SUFFIXES, kept

Annotator = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))]

OHIF_LABEL_SUFFIX = ".bin"
"""What the OHIF viewer sends: bare voxels on the grid of the image, of DICOM studies only."""


def datastore_routes(prefix: str) -> list[APIRoute]:
    """The routes, for the server's list of routes.

    Args:
        prefix: Of all of the server's addresses, mostly empty.
    """
    place = f"{prefix}/datastore"
    forms = APIRouter(prefix=place, tags=["Datastore"], route_class=FormRoute)
    forms.put("/", include_in_schema=False)(add_image)
    forms.put("/image", summary="Upload an image; it is checked before it is kept")(add_image)
    forms.put("/image/info", summary="Update what is known of an image")(update_image_info)
    forms.put("/label", summary="Save a label; its file is checked before it is kept")(save_label)
    forms.put("/label/info", summary="Update what is known of a label")(update_label_info)
    forms.put("/updatelabelinfo", include_in_schema=False)(update_label_params)
    plain = APIRouter(prefix=place, tags=["Datastore"], route_class=NamedErrorsRoute)
    plain.get("/dataset", summary="Download all labelled images as ZIP archive")(download_dataset)
    return [r for r in (*forms.routes, *plain.routes) if isinstance(r, APIRoute)]


def add_image(
    user: Annotator,
    file: Annotated[UploadFile, File()],
    image: str | None = None,
    params: Annotated[str, Form()] = "{}",
) -> dict[str, str]:
    """Keep an image, if it can be segmented."""
    info = {**parse_params(params), "user": user.username}
    store = _store()
    with kept(file, IMAGE_SUFFIXES) as path:
        name = image or _stem(file.filename or path.name, path.name)
        check_identifier("image", name)
        read_image(path)
        return {"image": store.add_image(name, str(path), info)}


def save_label(
    user: Annotator,
    image: str,
    label: Annotated[UploadFile, File()],
    params: Annotated[str, Form()] = "{}",
    tag: str = DefaultLabelTag.FINAL.value,
) -> dict[str, Any]:
    """Keep a label of an image."""
    info = {**parse_params(params), "user": user.username}
    tag = check_identifier("tag", tag or DefaultLabelTag.FINAL.value)
    app: MONAILabelApp = app_instance()
    store: Datastore = app.datastore()
    _check_image(store, image)
    of_dicom = isinstance(store, DICOMWebDatastore)
    suffixes = (*LABEL_SUFFIXES, OHIF_LABEL_SUFFIX) if of_dicom else LABEL_SUFFIXES
    with kept(label, suffixes) as path:
        if path.suffix != OHIF_LABEL_SUFFIX:
            check_label_file(path)
        label_id = store.save_label(image, str(path), tag, info)
    told = app.on_save_label(image, label_id) or {}
    return {**told, "image": image, "label": label_id}


def update_image_info(user: Annotator, image: str, info: Annotated[str, Form()] = "{}") -> Any:
    """Add to what the datastore knows of an image."""
    store = _store()
    _check_image(store, image)
    fields = {**parse_params(info, "info"), "user": user.username}
    return store.update_image_info(image, fields)


def update_label_info(
    user: Annotator, label: str, tag: str, info: Annotated[str, Form()] = "{}"
) -> Any:
    """Add to what the datastore knows of a label."""
    store = _store()
    if tag not in store.get_labels_by_image_id(label):
        raise UnknownLabel("There is no such label.", "GET /datastore/?output=all lists them.")
    fields = {**parse_params(info, "info"), "user": user.username}
    return store.update_label_info(label, tag, fields)


def update_label_params(
    user: Annotator, label: str, tag: str, params: Annotated[str, Form()] = "{}"
) -> Any:
    """`update_label_info` under its older name."""
    return update_label_info(user, label, tag, params)


def download_dataset(
    background_tasks: BackgroundTasks,
    _user: Annotator,
    limit_cases: Annotated[int | None, Query(ge=1)] = None,
) -> FileResponse:
    """All labelled images with their labels, as an archive that is deleted once it is sent."""
    store = _store()
    if not store.datalist():
        raise UnknownLabel(
            "There are no final labels to download.", "Accept a segmentation as label first."
        )
    path = Path(store.get_dataset_archive(limit_cases))
    background_tasks.add_task(path.unlink, missing_ok=True)
    name = f"dataset-{time.strftime('%Y%m%d')}.zip"
    return FileResponse(path, media_type="application/zip", filename=name)


def _store() -> Datastore:
    app: MONAILabelApp = app_instance()
    return app.datastore()


def _stem(sent: str, kept_as: str) -> str:
    """An upload's own name without its suffix; it may come with a folder of the sender's."""
    name = sent.replace("\\", "/").rpartition("/")[2]
    suffixes = sum(len(part) for part in Path(kept_as).suffixes)
    return name[:-suffixes] if suffixes < len(name) else name


def _check_image(store: Datastore, image: str) -> None:
    known = store.list_images()
    if image not in known:
        raise UnknownImage(
            f"There is no image {image[:40]!r} on this server.",
            "GET /datastore/?output=all lists the images.",
        )
