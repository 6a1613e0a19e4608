"""Where an image of a request is, and where its mask is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from monailabel.utils.sessions import Sessions

from ibisagent.errors import OutputNotWritable
from ibisagent_app.errors import UnknownImage
from ibisagent_app.identifiers import check_identifier
from ibisagent_app.uploads import is_kept


@dataclass(frozen=True)
class Image:
    """An image on this server's disk.

    Attributes:
        path: Where it is.
        name: Its identifier in the datastore; ``upload`` for one that was sent along.
        in_datastore: Whether a mask can be kept with it.
    """

    path: Path
    name: str
    in_datastore: bool


def find_image(image_id: str, store: Datastore, sessions: Sessions | None) -> Image:
    """An image of the datastore by its identifier, or one that was just uploaded.

    Args:
        image_id: Identifier, or the path of an upload (`ibisagent_app.uploads`) or of a session's
            image. Clients cannot name paths; these come from the server's own routes.
        store: The studies.
        sessions: Where sessions keep their images; None where they are switched off.

    Raises:
        UnknownImage: Neither.
    """
    path = Path(image_id)
    if path.is_absolute() and path.exists() and _is_upload(path, sessions):
        return Image(path, "upload", in_datastore=False)
    listed = Path(store.get_image_uri(image_id) if image_id and not path.is_absolute() else "")
    if listed.is_absolute() and listed.exists():  # it may be gone since the server listed it
        return Image(listed, image_id, in_datastore=True)
    raise UnknownImage(
        f"There is no image {path.name!r} on this server."
        if image_id
        else "The request names no image, or its session has expired.",
        "GET /datastore/?output=all lists the images; PUT /datastore/image adds one.",
    )


def _is_upload(path: Path, sessions: Sessions | None) -> bool:
    if is_kept(path):
        return True
    folder = Path(sessions.store_path) if sessions is not None else None
    return folder is not None and path.resolve().is_relative_to(folder.resolve())


def save_mask(result: dict[str, Any], request: Mapping[str, Any], store: Datastore) -> None:
    """Keep a result's mask and its parameters in the datastore, as MONAI Label does.

    Args:
        result: Of `MONAILabelApp.infer`; its ``label`` becomes the label's identifier.
        request: Has ``image`` (the identifier), ``model`` and, if wished, ``label_tag`` and
            ``label_info``, the segments as MONAI Label's clients describe them.
        store: The studies.

    Raises:
        InvalidIdentifier: The tag could reach outside its folder.
        ImageNotFoundException: The image was deleted meanwhile.
        OutputNotWritable: The disk is full or the folder closed.
    """
    tag = check_identifier("label_tag", str(request.get("label_tag") or DefaultLabelTag.ORIGINAL))
    info = {"model": request["model"], "params": result["params"]}
    if isinstance(request.get("label_info"), list):  # a DICOM SEG takes its segments from it
        info["label_info"] = request["label_info"]
    try:
        with _deleted_on_failure(Path(result["file"])):
            result["label"] = store.save_label(request["image"], result["file"], tag, info)
    except (OSError, shutil.Error) as error:
        raise OutputNotWritable(
            f"The mask could not be kept under the tag {tag!r}.",
            "Check free space and permissions of the studies folder.",
        ) from error
    result["tag"] = tag


@contextmanager
def _deleted_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
